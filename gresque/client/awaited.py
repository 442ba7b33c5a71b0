"""The verbs of declared jobs for asyncio programs: each is a verb of `declare` with an "a" before
its name, and uses the default client of the running loop (see `gresque.aio`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec

from gresque.client.enqueue import checked_queue, definition_of
from gresque.client.options import AS_DECLARED, CallOptions, longjob_options
from gresque.client.when import Delay, Moment, at, delay
from gresque.jobs.ids import JobId

if TYPE_CHECKING:
    from gresque.client.typed import AwaitEnqueue, AwaitEnqueueAt, AwaitEnqueueIn, AwaitEnqueueTo

P = ParamSpec("P")


async def _aenqueue(
    options: CallOptions, job: Any, args: Sequence[Any], kwargs: dict[str, Any]
) -> JobId | None:
    from gresque.aio.default import default_client  # most programs have no event loop

    return await default_client()._enqueue_by(options, job, args, kwargs)


class AwaitedFunction(Generic[P]):
    """Those of a function with `@gresque.job`."""

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> JobId | None:
        """As `enqueue`; the loop goes on meanwhile."""
        return await _aenqueue(AS_DECLARED, self, args, kwargs)

    async def aenqueue_to(self, queue: str, /, *args: P.args, **kwargs: P.kwargs) -> JobId | None:
        """As `enqueue_to`."""
        return await _aenqueue(CallOptions(checked_queue(queue)), self, args, kwargs)

    async def aenqueue_in(self, after: Delay, /, *args: P.args, **kwargs: P.kwargs) -> JobId | None:
        """As `enqueue_in`."""
        return await _aenqueue(CallOptions(when=delay(after)), self, args, kwargs)

    async def aenqueue_at(
        self, moment: Moment, /, *args: P.args, **kwargs: P.kwargs
    ) -> JobId | None:
        """As `enqueue_at`."""
        return await _aenqueue(CallOptions(when=at(moment)), self, args, kwargs)

    async def aenqueue_unique(self, /, *args: P.args, **kwargs: P.kwargs) -> JobId | None:
        """As `enqueue_unique`."""
        return await _aenqueue(_longjob(self, again=False), self, args, kwargs)

    async def aenqueue_debounce(self, /, *args: P.args, **kwargs: P.kwargs) -> JobId | None:
        """As `enqueue_debounce`."""
        return await _aenqueue(_longjob(self, again=True), self, args, kwargs)


class AwaitedClass:
    """Those of a `gresque.Job`."""

    if TYPE_CHECKING:
        aenqueue: ClassVar[AwaitEnqueue] = AwaitEnqueue()
        aenqueue_to: ClassVar[AwaitEnqueueTo] = AwaitEnqueueTo()
        aenqueue_in: ClassVar[AwaitEnqueueIn] = AwaitEnqueueIn()
        aenqueue_at: ClassVar[AwaitEnqueueAt] = AwaitEnqueueAt()
        aenqueue_unique: ClassVar[AwaitEnqueue] = AwaitEnqueue()
        aenqueue_debounce: ClassVar[AwaitEnqueue] = AwaitEnqueue()
    else:

        @classmethod
        async def aenqueue(cls, /, *args, **kwargs):
            """As `enqueue`; the loop goes on meanwhile."""
            return await _aenqueue(AS_DECLARED, cls, args, kwargs)

        @classmethod
        async def aenqueue_to(cls, queue, /, *args, **kwargs):
            """As `enqueue_to`."""
            return await _aenqueue(CallOptions(checked_queue(queue)), cls, args, kwargs)

        @classmethod
        async def aenqueue_in(cls, after, /, *args, **kwargs):
            """As `enqueue_in`."""
            return await _aenqueue(CallOptions(when=delay(after)), cls, args, kwargs)

        @classmethod
        async def aenqueue_at(cls, moment, /, *args, **kwargs):
            """As `enqueue_at`."""
            return await _aenqueue(CallOptions(when=at(moment)), cls, args, kwargs)

        @classmethod
        async def aenqueue_unique(cls, /, *args, **kwargs):
            """As `enqueue_unique`."""
            return await _aenqueue(_longjob(cls, again=False), cls, args, kwargs)

        @classmethod
        async def aenqueue_debounce(cls, /, *args, **kwargs):
            """As `enqueue_debounce`."""
            return await _aenqueue(_longjob(cls, again=True), cls, args, kwargs)


def _longjob(job: Any, *, again: bool) -> CallOptions:
    return longjob_options(definition_of(job), again=again)
