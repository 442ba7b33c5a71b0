"""Options of single calls: `job.options(in_=300, queue="low").enqueue(42)`."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec

from gresque.client.enqueue import checked_queue
from gresque.client.when import Delay, Moment, When, one_of
from gresque.jobs.definition import JobDefinition
from gresque.jobs.ids import JobId
from gresque.jobs.registry import registry
from gresque.jobs.tracking import checked_ttl
from gresque.jobs.unique import UniqueOptions, UniqueRule, unique_rule

if TYPE_CHECKING:
    from gresque.aio.client import Client as AwaitedClient
    from gresque.client.client import Call, Client

P = ParamSpec("P")


class CallOptions(NamedTuple):
    """What one call asks for beside its arguments."""

    queue: str | None = None
    when: When | None = None
    unique: UniqueRule | None = None
    """None: as the job declares."""
    track: int | None = None
    """For how many seconds the result is kept; None: as the job declares."""

    @classmethod
    def of(
        cls,
        queue: str | None,
        in_: Delay | None,
        at: Moment | None,
        job: Any = None,
        unique: UniqueOptions | None = None,
        track: Delay | None = None,
    ) -> CallOptions:
        """Raises EnqueueError for a wrong time or queue, JobDeclarationError for a wrong `track`,
        and EnqueueError for options about duplicates that
        contradict each other or the declaration of `job`."""
        return cls(
            queue if queue is None else checked_queue(queue),
            one_of(in_, at),
            _rule_of(job, unique) if unique else None,
            None if track is None else checked_ttl("track", track),
        )


def _rule_of(job: Any, options: UniqueOptions) -> UniqueRule | None:
    unknown = options.keys() - UniqueOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"options() got an unexpected keyword argument {min(unknown)!r}")
    definition = registry.find(job) if isinstance(job, str) else getattr(job, "definition", None)
    declared = definition.unique if isinstance(definition, JobDefinition) else None
    name = job if definition is None else definition.name
    return unique_rule(name, options, declared)


AS_DECLARED = CallOptions()

_LONGJOB = UniqueOptions(unique="both", on_duplicate="drop")
_LONGJOB_DEBOUNCE = UniqueOptions(unique="both", on_duplicate="again")


@lru_cache(maxsize=1000)
def longjob_options(definition: JobDefinition, *, again: bool) -> CallOptions:
    """The options of `enqueue_unique` or, with `again`, of `enqueue_debounce`."""
    options = _LONGJOB_DEBOUNCE if again else _LONGJOB
    return CallOptions(unique=unique_rule(definition.name, options, definition.unique))


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

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> JobId | None:
        """As `enqueue`; the running event loop goes on meanwhile."""
        return await self._awaited()._enqueue_by(self._options, self._job, args, kwargs)

    async def aenqueue_many(
        self, calls: Iterable[Call] | AsyncIterable[Call], *, spread: Delay | None = None
    ) -> list[JobId]:
        """As `enqueue_many`; the running event loop goes on meanwhile."""
        return await self._awaited()._enqueue_many_by(self._options, self._job, calls, spread)

    def _awaited(self) -> AwaitedClient:
        from gresque.aio.default import client_of  # most programs have no event loop

        return client_of(self._client())
