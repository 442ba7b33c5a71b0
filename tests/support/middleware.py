"""Middleware of a test, which is gone after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gresque.jobs.middleware import enqueue_chain, perform_chain


@pytest.fixture(name="own_middleware")
def own_middleware_fixture() -> Iterator[None]:
    chains = (enqueue_chain, perform_chain)
    before = [(chain.functions, chain.variables) for chain in chains]
    for chain in chains:
        chain.set((), ())
    yield
    for chain, (functions, variables) in zip(chains, before, strict=True):
        chain.set(functions, variables)
