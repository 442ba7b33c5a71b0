"""Options of single calls: `job.options(in_=300, queue="low").enqueue(42)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec

from gresque.client.enqueue import checked_queue
from gresque.client.when import Delay, Moment, When, one_of
from gresque.jobs.ids import JobId

if TYPE_CHECKING:
    from gresque.client.client import Call, Client

P = ParamSpec("P")


class CallOptions(NamedTuple):
    """What one call asks for beside its arguments."""

    queue: str | None = None
    when: When | None = None

    @classmethod
    def of(cls, queue: str | None, in_: Delay | None, at: Moment | None) -> CallOptions:
        """Raises EnqueueError for a time that is none, or a queue."""
        return cls(queue if queue is None else checked_queue(queue), one_of(in_, at))


class ConfiguredJob(Generic[P]):
    """A job with options for its next calls."""

    def __init__(self, client: Callable[[], Client], job: Any, options: CallOptions) -> None:
        self._client = client
        self._job = job
        self._options = options

    def __repr__(self) -> str:
        return f"<{self._job!r} with {self._options}>"

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> JobId | None:
        """Enqueue the job by these options; returns its id, or None when a hook rejected it."""
        return self._client()._enqueue_by(self._options, self._job, args, kwargs)

    def enqueue_many(self, calls: Iterable[Call], *, spread: Delay | None = None) -> list[JobId]:
        """As `Client.enqueue_many`, by these options."""
        return self._client()._enqueue_many_by(self._options, self._job, calls, spread)
