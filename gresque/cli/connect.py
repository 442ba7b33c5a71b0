"""The store of a command that looks or changes something."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gresque.cli.options import load_settings

if TYPE_CHECKING:
    from gresque.control.audit import By
    from gresque.failure.backend import RedisBackend
    from gresque.store.store import Store


@contextmanager
def open_store(flags: dict[str, Any]) -> Iterator[Store]:
    """The store that `--redis` and `--namespace`, or their ENV, name; closed at the end.

    Raises RedisUnavailable where a command meets an error of redis-py's.
    """
    # Imported here: the command line is loaded before `gresque work` patches, redis-py is not.
    from gresque.connection.errors import plain_errors
    from gresque.store.store import Store

    settings = load_settings(flags)
    store = Store(settings.redis_url, settings.namespace)
    try:
        with plain_errors(settings.redis_url):
            yield store
    finally:
        store.close()


def operator() -> By:
    """The caller of this command, for the log and the audit log: user@host."""
    from gresque.control.audit import By

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        user = str(os.getuid())
    return By(f"{user}@{socket.gethostname()}", "cli")


@contextmanager
def open_failures(flags: dict[str, Any]) -> Iterator[RedisBackend]:
    """The failed jobs of that store, from where `--failure-backend` keeps them."""
    from gresque.failure.backend import open_backend

    with open_store(flags) as store:
        yield open_backend(load_settings(flags).failure_backend, store)
