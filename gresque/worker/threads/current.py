"""Which job the running code belongs to, in worker processes and in those that jobs fork."""

from __future__ import annotations

from typing import Any

from gevent import getcurrent
from gevent.threadpool import ThreadPool

from gresque.jobs.current import CurrentJob, current_job, find_by
from gresque.logs import add_job_fields
from gresque.worker.threads.job_lines import keep_lines
from gresque.worker.threads.origin import KEY, Origin, origin_of
from gresque.worker.threads.thread import WorkerThread


def know_current_job(default_retries: int = 0, *, lines: bool = False) -> None:
    """From now on `gresque.current_job()` finds the jobs of this process, and so do its log
    records. With `lines` it is noted what jobs log."""
    if lines:
        keep_lines(_thread)
    find_by(_find, default_retries, _report)
    add_job_fields(_fields)
    _follow_into_thread_pools()


def _find() -> CurrentJob | None:
    here = getcurrent()
    origin = here.origin if type(here) is WorkerThread else _origin()
    return None if origin is None else origin.current_job


def _report(done: float, total: float | None, note: str) -> bool:
    thread = _thread()
    return thread is not None and thread.report(done, total, note)


def _thread() -> WorkerThread | None:
    here = getcurrent()
    if type(here) is WorkerThread:
        return here
    origin = _origin()
    return origin.thread if origin is not None and origin.runs else None


def _fields() -> dict[str, object] | None:
    job = current_job()
    return None if job is None else job.fields


def _origin() -> Origin | None:
    here = getcurrent()
    # Not by `origin_of`: that would note on the scoreboard that the job has spawned something.
    return here.origin if isinstance(here, WorkerThread) else origin_of(here)


def _follow_into_thread_pools() -> None:
    """A thread of gevent's pool runs the functions of all jobs, and knows no spawner."""
    plain_spawn: Any = ThreadPool.spawn
    if plain_spawn is _spawn:
        return
    global _plain_spawn
    _plain_spawn = plain_spawn
    ThreadPool.spawn = _spawn


_plain_spawn: Any = None


def _spawn(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
    origin = _origin()
    if origin is not None:
        func = _PartOfJob(func, origin)
    return _plain_spawn(self, func, *args, **kwargs)


class _PartOfJob:
    """A function that a job has handed to a thread pool."""

    def __init__(self, function: Any, origin: Origin) -> None:
        self._function = function
        self._origin = origin

    def __repr__(self) -> str:
        return repr(self._function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        here: Any = getcurrent()
        here.spawn_tree_locals = {KEY: self._origin}
        try:
            return self._function(*args, **kwargs)
        finally:
            del here.spawn_tree_locals
