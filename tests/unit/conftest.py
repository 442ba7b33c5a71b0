"""Every script that a unit test runs fails when it touches a key that was not declared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.declared_keys import keys_are_checked


@pytest.fixture(scope="package", autouse=True)
def _keys_are_checked() -> Iterator[None]:
    with keys_are_checked():
        yield
