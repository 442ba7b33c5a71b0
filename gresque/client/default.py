"""The default client, behind `gresque.enqueue` and its like."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from gresque.client.client import Call, Client
from gresque.settings import DEFAULT_RETRY_SECONDS, Settings

_default: Client | None = None


def configure(
    redis_url: str | None = None,
    namespace: str | None = None,
    *,
    failure_backend: str | None = None,
    inline: bool = False,
    retry_seconds: float = DEFAULT_RETRY_SECONDS,
) -> Client:
    """Set up the default client; what is not given comes from REDIS_URL, RESQUE_NAMESPACE and
    FAILURE_BACKEND.

    `retry_seconds`: for how long enqueueing is tried again when Redis fails.
    """
    global _default
    given = {"redis_url": redis_url, "namespace": namespace, "failure_backend": failure_backend}
    settings = Settings.load(given, os.environ)
    client = Client(
        settings.redis_url,
        settings.namespace,
        failure_backend=settings.failure_backend,
        inline=inline,
        retry_seconds=retry_seconds,
    )
    if _default is not None:
        _default.close()
    _default = client
    return _default


def default_client() -> Client:
    """The default client, made from the environment unless `configure` was called before."""
    return _default or configure()


def adopt(redis_url: str, namespace: str, failure_backend: str) -> None:
    """In a worker: what its jobs enqueue goes where the worker works, unless the program itself
    said where by `configure`."""
    global _default
    if _default is None:
        _default = Client(redis_url, namespace, failure_backend=failure_backend)


def enqueue(job: Any, /, *args: Any, **kwargs: Any) -> str | None:
    """See `Client.enqueue`."""
    return default_client().enqueue(job, *args, **kwargs)


def enqueue_to(queue: str, job: Any, /, *args: Any, **kwargs: Any) -> str | None:
    """See `Client.enqueue_to`."""
    return default_client().enqueue_to(queue, job, *args, **kwargs)


def enqueue_many(job: Any, calls: Iterable[Call], *, queue: str | None = None) -> list[str]:
    """See `Client.enqueue_many`."""
    return default_client().enqueue_many(job, calls, queue=queue)


def dequeue(job: Any, /, *args: Any, **kwargs: Any) -> int:
    """See `Client.dequeue`."""
    return default_client().dequeue(job, *args, **kwargs)


def remove_queue(queue: str) -> int:
    """See `Client.remove_queue`."""
    return default_client().remove_queue(queue)


def queues() -> list[str]:
    """See `Client.queues`."""
    return default_client().queues()


def size(queue: str) -> int:
    """See `Client.size`."""
    return default_client().size(queue)


def peek(queue: str, start: int = 0, count: int = 1) -> list[dict[str, Any]]:
    """See `Client.peek`."""
    return default_client().peek(queue, start, count)


def info() -> dict[str, Any]:
    """See `Client.info`."""
    return default_client().info()
