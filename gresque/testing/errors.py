"""Errors and warnings of `gresque.testing`."""

from __future__ import annotations

from gresque.errors import GresqueError


class NotImitated(GresqueError):
    """The fake has no such part; a test of it needs a server, such as that of `gresque_redis`."""


class TestingWarning(UserWarning):
    """A fake is active in a program that seems to be no test."""

    __test__ = False  # for pytest, which would collect it
