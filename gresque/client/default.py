"""The default client, behind `gresque.enqueue` and its like."""

from __future__ import annotations

import builtins
import logging
import os
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Unpack, overload

from gresque.client.client import Call, Client, argument
from gresque.client.delayed import DelayedJob
from gresque.client.flow import UNCHANGED, Kept, QueueLimits
from gresque.client.locks import UniqueLock
from gresque.client.options import ConfiguredJob
from gresque.client.results import Status
from gresque.client.schedules import ScheduleEntry, Schedules
from gresque.client.sharding import sharding_of
from gresque.client.when import Delay, Moment
from gresque.jobs.ids import JobId
from gresque.jobs.unique import UniqueOptions
from gresque.logs import fields
from gresque.settings import DEFAULT_RETRY_SECONDS, Settings

if TYPE_CHECKING:
    from gresque.client.typed import AnyJob, Checked, J, P, Unchecked
    from gresque.schedule.entry import Entry
    from gresque.store.store import Store

log = logging.getLogger("gresque.client")

_default: Client | None = None
_worker: Settings | None = None
"""In a worker, and in a command that imports jobs: the settings that it works by."""


def configure(
    redis_url: str | None = None,
    namespace: str | None = None,
    *,
    failure_backend: str | None = None,
    inline: bool = False,
    retry_seconds: Delay = DEFAULT_RETRY_SECONDS,
    wait_replicas: int | None = None,
) -> Client:
    """Set up the default client; settings that are not given come from REDIS_URL, RESQUE_NAMESPACE
    and FAILURE_BACKEND, those of shards from the environment (docs/scaling.md). In a worker all of
    them are the worker's own: its jobs enqueue where it works. For another server there is
    `Client`.

    `retry_seconds`: for how long enqueueing is tried again when Redis fails. `wait_replicas`: how
    many replicas must have a job before its enqueue returns; from ENQUEUE_WAIT_REPLICAS when it is
    not given.
    """
    given = {"redis_url": redis_url, "namespace": namespace, "failure_backend": failure_backend}
    for name, value in given.items():
        if value is not None:
            argument(name, value)
    settings = Settings.load(given, os.environ)
    if _worker is not None:
        _tell_of_overridden(settings, _worker, [name for name in given if given[name] is not None])
        settings = _worker
    return _replace(client_of(settings, inline, retry_seconds, wait_replicas))


def client_of(
    settings: Settings,
    inline: bool = False,
    retry_seconds: Delay = DEFAULT_RETRY_SECONDS,
    wait_replicas: int | None = None,
) -> Client:
    """A client that enqueues where these settings say."""
    if wait_replicas is None:
        wait_replicas = settings.enqueue_wait_replicas
    return Client(
        settings.redis_url,
        settings.namespace,
        failure_backend=settings.failure_backend,
        inline=inline,
        retry_seconds=retry_seconds,
        wait_replicas=wait_replicas,
        **sharding_of(settings).arguments,
    )


def _replace(client: Client) -> Client:
    global _default
    if _default is not None:
        _default.close()
    _default = client
    return client


def _tell_of_overridden(asked: Settings, worker: Settings, names: list[str]) -> None:
    other = [name for name in names if getattr(asked, name) != getattr(worker, name)]
    if not other:
        return
    caller = sys._getframe(2)
    log.warning(
        "gresque.configure at %s:%d gives another %s than this worker has; that of the worker "
        "holds. Use gresque.Client for another server",
        caller.f_code.co_filename,
        caller.f_lineno,
        " and ".join(other),
        extra=fields("configure_ignored", settings=other),
    )


def default_client() -> Client:
    """The default client, made from the environment unless `configure` was called before."""
    return _default or configure()


class _Schedules(Schedules):
    """Those of the client that is the default one at each call."""

    def list(self) -> builtins.list[ScheduleEntry]:
        return default_client().schedules.list()

    def _asking_for(self, name: str) -> AbstractContextManager[Store]:
        return default_client().schedules._asking_for(name)

    def _asking_new(self, entry: Entry) -> AbstractContextManager[Store]:
        return default_client().schedules._asking_new(entry)


schedules: Schedules = _Schedules(lambda: default_client()._asking())
"""The schedule of the default client; see `Schedules`."""


def adopt(settings: Settings) -> None:
    """In a worker and in `gresque enqueue -r`, before a job module is imported: what these modules
    and their jobs enqueue goes where the settings say. It connects when it is used."""
    global _worker
    settings = settings.whole  # what is enqueued may go to any shard
    _worker = settings
    known = _default
    if known is None:
        _replace(client_of(settings))
    elif not known._serves(settings):
        _replace(client_of(settings, known.inline, known.retry_seconds, known.wait_replicas))


@overload
def enqueue(job: Unchecked[J], /, *args: Any, **kwargs: Any) -> JobId | None: ...
@overload
def enqueue(job: Checked[P], /, *args: P.args, **kwargs: P.kwargs) -> JobId | None: ...
def enqueue(job: Any, /, *args: Any, **kwargs: Any) -> JobId | None:
    """See `Client.enqueue`."""
    return default_client().enqueue(job, *args, **kwargs)


@overload
def enqueue_to(queue: str, job: Unchecked[J], /, *args: Any, **kwargs: Any) -> JobId | None: ...
@overload
def enqueue_to(
    queue: str, job: Checked[P], /, *args: P.args, **kwargs: P.kwargs
) -> JobId | None: ...
def enqueue_to(queue: str, job: Any, /, *args: Any, **kwargs: Any) -> JobId | None:
    """See `Client.enqueue_to`."""
    return default_client().enqueue_to(queue, job, *args, **kwargs)


@overload
def enqueue_in(
    delay: Delay, job: Checked[P], /, *args: P.args, **kwargs: P.kwargs
) -> JobId | None: ...
@overload
def enqueue_in(delay: Delay, job: Unchecked[J], /, *args: Any, **kwargs: Any) -> JobId | None: ...
def enqueue_in(delay: Delay, job: Any, /, *args: Any, **kwargs: Any) -> JobId | None:
    """See `Client.enqueue_in`."""
    return default_client().enqueue_in(delay, job, *args, **kwargs)


@overload
def enqueue_at(
    moment: Moment, job: Checked[P], /, *args: P.args, **kwargs: P.kwargs
) -> JobId | None: ...
@overload
def enqueue_at(moment: Moment, job: Unchecked[J], /, *args: Any, **kwargs: Any) -> JobId | None: ...
def enqueue_at(moment: Moment, job: Any, /, *args: Any, **kwargs: Any) -> JobId | None:
    """See `Client.enqueue_at`."""
    return default_client().enqueue_at(moment, job, *args, **kwargs)


def enqueue_many(
    job: AnyJob,
    calls: Iterable[Call],
    *,
    queue: str | None = None,
    in_: Delay | None = None,
    at: Moment | None = None,
    spread: Delay | None = None,
) -> list[JobId]:
    """See `Client.enqueue_many`."""
    return default_client().enqueue_many(job, calls, queue=queue, in_=in_, at=at, spread=spread)


@overload
def options(
    job: Checked[P],
    *,
    queue: str | None = None,
    in_: Delay | None = None,
    at: Moment | None = None,
    track: Delay | None = None,
    **unique: Unpack[UniqueOptions],
) -> ConfiguredJob[P]: ...
@overload
def options(
    job: Unchecked[J],
    *,
    queue: str | None = None,
    in_: Delay | None = None,
    at: Moment | None = None,
    track: Delay | None = None,
    **unique: Unpack[UniqueOptions],
) -> ConfiguredJob[...]: ...
def options(
    job: Any,
    *,
    queue: str | None = None,
    in_: Delay | None = None,
    at: Moment | None = None,
    track: Delay | None = None,
    **unique: Unpack[UniqueOptions],
) -> ConfiguredJob[Any]:
    """See `Client.options`."""
    return default_client().options(job, queue=queue, in_=in_, at=at, track=track, **unique)


def delayed(start: int = 0, count: int = 1) -> list[DelayedJob]:
    """See `Client.delayed`."""
    return default_client().delayed(start, count)


def delayed_count() -> int:
    """See `Client.delayed_count`."""
    return default_client().delayed_count()


def cancel(job_id: str) -> bool:
    """See `Client.cancel`."""
    return default_client().cancel(job_id)


def reschedule(job_id: str, *, in_: Delay | None = None, at: Moment | None = None) -> bool:
    """See `Client.reschedule`."""
    return default_client().reschedule(job_id, in_=in_, at=at)


def run_now(job_id: str) -> bool:
    """See `Client.run_now`."""
    return default_client().run_now(job_id)


def remove_delayed(job: AnyJob, /, *args: Any, **kwargs: Any) -> int:
    """See `Client.remove_delayed`."""
    return default_client().remove_delayed(job, *args, **kwargs)


def dequeue(job: AnyJob, /, *args: Any, **kwargs: Any) -> int:
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


def pause(queue: str) -> bool:
    """See `Client.pause`."""
    return default_client().pause(queue)


def unpause(queue: str) -> bool:
    """See `Client.unpause`."""
    return default_client().unpause(queue)


def pause_all() -> bool:
    """See `Client.pause_all`."""
    return default_client().pause_all()


def unpause_all() -> bool:
    """See `Client.unpause_all`."""
    return default_client().unpause_all()


def limit(
    queue: str,
    *,
    concurrent: int | Kept | None = UNCHANGED,
    rate: str | Kept | None = UNCHANGED,
    burst: int | None = None,
    per_shard: bool = False,
) -> None:
    """See `Client.limit`."""
    default_client().limit(
        queue, concurrent=concurrent, rate=rate, burst=burst, per_shard=per_shard
    )


def locks() -> list[UniqueLock]:
    """See `Client.locks`."""
    return default_client().locks()


def release_lock(key: str) -> bool:
    """See `Client.release_lock`."""
    return default_client().release_lock(key)


def status(job: str, *, search: bool = False) -> Status:
    """See `Client.status`."""
    return default_client().status(job, search=search)


def result(job: str, timeout: Delay | None = None) -> Any:
    """See `Client.result`."""
    return default_client().result(job, timeout)


def wait(
    jobs: Iterable[str], timeout: Delay | None = None, count: int | None = None
) -> dict[str, Status]:
    """See `Client.wait`."""
    return default_client().wait(jobs, timeout, count)


def limits() -> list[QueueLimits]:
    """See `Client.limits`."""
    return default_client().limits()
