"""The client of asyncio programs."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack, overload
from weakref import ref

from gresque.aio.calls import Once, run
from gresque.aio.twin import Twin, is_loaded, load
from gresque.client.client import Call
from gresque.client.options import CallOptions
from gresque.client.results import Status
from gresque.client.when import Delay, Moment
from gresque.errors import GresqueError
from gresque.jobs.ids import JobId
from gresque.jobs.unique import UniqueOptions
from gresque.settings import (
    DEFAULT_FAILURE_BACKEND,
    DEFAULT_NAMESPACE,
    DEFAULT_REDIS_URL,
    DEFAULT_RETRY_SECONDS,
)

if TYPE_CHECKING:
    from gresque.client.typed import AnyJob, Checked, J, Unchecked

P = ParamSpec("P")
T = TypeVar("T")

Calls = Iterable[Call] | AsyncIterable[Call]


class Client:
    """A `gresque.Client` for asyncio: the same settings and promises, and a coroutine under the
    name of each method with an "a" before it. No method blocks the loop.

        async with gresque.aio.Client("redis://localhost:6379/0") as client:
            await client.aenqueue(send_email, 42)

    It connects at the first use, and belongs to the loop of that; any number of tasks may share it.
    A loop that comes after its own was closed may use it, as may a forked child.

    When a task is cancelled while it enqueues, the job is in its queue once, or not at all.
    """

    def __init__(
        self,
        redis_url: str = DEFAULT_REDIS_URL,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        failure_backend: str = DEFAULT_FAILURE_BACKEND,
        inline: bool = False,
        retry_seconds: Delay = DEFAULT_RETRY_SECONDS,
        wait_replicas: int = 0,
        urls: Sequence[str] = (),
        shards: int = 1,
        spread: str = "job",
        pinned_queues: str | Sequence[str] = (),
    ) -> None:
        """As in `gresque.Client`. With `inline=True` a job blocks the loop while it runs."""
        self._use(
            Twin(
                redis_url,
                namespace,
                failure_backend=failure_backend,
                inline=inline,
                retry_seconds=retry_seconds,
                wait_replicas=wait_replicas,
                urls=urls,
                shards=shards,
                spread=spread,
                pinned_queues=pinned_queues,
            )
        )

    @classmethod
    def _of(cls, twin: Twin) -> Client:
        client = cls.__new__(cls)
        client._use(twin)
        return client

    def _use(self, twin: Twin) -> None:
        self._twin = twin
        self._loaded: Once[None] = Once()
        self._loop: Callable[[], asyncio.AbstractEventLoop | None] = lambda: None
        self._pid = os.getpid()
        self._binding = threading.Lock()

    def __repr__(self) -> str:
        return f"gresque.aio.{self._twin!r}"

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. The client may be used again."""
        if self._twin.is_open:
            await self._run(Twin.close)

    # Enqueueing

    @overload
    async def aenqueue(self, job: Unchecked[J], /, *args: Any, **kwargs: Any) -> JobId | None: ...
    @overload
    async def aenqueue(
        self, job: Checked[P], /, *args: P.args, **kwargs: P.kwargs
    ) -> JobId | None: ...
    async def aenqueue(self, job: Any, /, *args: Any, **kwargs: Any) -> JobId | None:
        """See `gresque.Client.enqueue`."""
        return await self._run(Twin.enqueue, job, *args, **kwargs)

    @overload
    async def aenqueue_to(
        self, queue: str, job: Unchecked[J], /, *args: Any, **kwargs: Any
    ) -> JobId | None: ...
    @overload
    async def aenqueue_to(
        self, queue: str, job: Checked[P], /, *args: P.args, **kwargs: P.kwargs
    ) -> JobId | None: ...
    async def aenqueue_to(self, queue: str, job: Any, /, *args: Any, **kwargs: Any) -> JobId | None:
        """See `gresque.Client.enqueue_to`."""
        return await self._run(Twin.enqueue_to, queue, job, *args, **kwargs)

    @overload
    async def aenqueue_in(
        self, delay: Delay, job: Checked[P], /, *args: P.args, **kwargs: P.kwargs
    ) -> JobId | None: ...
    @overload
    async def aenqueue_in(
        self, delay: Delay, job: Unchecked[J], /, *args: Any, **kwargs: Any
    ) -> JobId | None: ...
    async def aenqueue_in(
        self, delay: Delay, job: Any, /, *args: Any, **kwargs: Any
    ) -> JobId | None:
        """See `gresque.Client.enqueue_in`."""
        return await self._run(Twin.enqueue_in, delay, job, *args, **kwargs)

    @overload
    async def aenqueue_at(
        self, moment: Moment, job: Checked[P], /, *args: P.args, **kwargs: P.kwargs
    ) -> JobId | None: ...
    @overload
    async def aenqueue_at(
        self, moment: Moment, job: Unchecked[J], /, *args: Any, **kwargs: Any
    ) -> JobId | None: ...
    async def aenqueue_at(
        self, moment: Moment, job: Any, /, *args: Any, **kwargs: Any
    ) -> JobId | None:
        """See `gresque.Client.enqueue_at`."""
        return await self._run(Twin.enqueue_at, moment, job, *args, **kwargs)

    async def aenqueue_many(
        self,
        job: AnyJob,
        calls: Calls,
        *,
        queue: str | None = None,
        in_: Delay | None = None,
        at: Moment | None = None,
        spread: Delay | None = None,
    ) -> list[JobId]:
        """See `gresque.Client.enqueue_many`. `calls` may be an asynchronous generator, too. Other
        tasks have their turns while the bulk is made."""
        return await self._enqueue_many_by(CallOptions.of(queue, in_, at), job, calls, spread)

    @overload
    def options(
        self,
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
        self,
        job: Unchecked[J],
        *,
        queue: str | None = None,
        in_: Delay | None = None,
        at: Moment | None = None,
        track: Delay | None = None,
        **unique: Unpack[UniqueOptions],
    ) -> ConfiguredJob[...]: ...
    def options(
        self,
        job: Any,
        *,
        queue: str | None = None,
        in_: Delay | None = None,
        at: Moment | None = None,
        track: Delay | None = None,
        **unique: Unpack[UniqueOptions],
    ) -> ConfiguredJob[Any]:
        """The job with options for the next calls, as in `gresque.Client.options`.

        await client.options(send_email, in_=300, queue="low").aenqueue(42)
        """
        return ConfiguredJob(self, job, CallOptions.of(queue, in_, at, job, unique, track))

    # Taking back and looking

    async def adequeue(self, job: AnyJob, /, *args: Any, **kwargs: Any) -> int:
        """See `gresque.Client.dequeue`."""
        return await self._run(Twin.dequeue, job, *args, **kwargs)

    async def acancel(self, job_id: str) -> bool:
        """See `gresque.Client.cancel`."""
        return await self._run(Twin.cancel, job_id)

    async def areschedule(
        self, job_id: str, *, in_: Delay | None = None, at: Moment | None = None
    ) -> bool:
        """See `gresque.Client.reschedule`."""
        return await self._run(Twin.reschedule, job_id, in_=in_, at=at)

    async def arun_now(self, job_id: str) -> bool:
        """See `gresque.Client.run_now`."""
        return await self._run(Twin.run_now, job_id)

    async def astatus(self, job: str, *, search: bool = False) -> Status:
        """See `gresque.Client.status`."""
        return await self._run(Twin.status, job, search=search)

    async def aresult(self, job: str, timeout: Delay | None = None) -> Any:
        """See `gresque.Client.result`. All tasks that wait share one connection."""
        return await self._run(Twin.result, job, timeout)

    async def await_(
        self, jobs: Iterable[str], timeout: Delay | None = None, count: int | None = None
    ) -> dict[str, Status]:
        """See `gresque.Client.wait`."""
        return await self._run(Twin.wait, jobs, timeout, count)

    async def asize(self, queue: str) -> int:
        """See `gresque.Client.size`."""
        return await self._run(Twin.size, queue)

    async def _enqueue_by(
        self, options: CallOptions, job: Any, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> JobId | None:
        return await self._run(Twin._enqueue_by, options, job, args, kwargs)

    async def _enqueue_many_by(
        self, options: CallOptions, job: Any, calls: Calls, spread: Delay | None
    ) -> list[JobId]:
        return await self._run(Twin._enqueue_many_by, options, job, calls, spread)

    async def _run(self, method: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call a method of the twin."""
        loop = asyncio.get_running_loop()
        if self._loop() is not loop or self._pid != os.getpid():
            self._bind(loop)
        if not is_loaded():
            await self._loaded.get(load)
        return await run(method, self._twin, *args, **kwargs)

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._binding:
            owner = self._loop()
            if owner is not None and self._pid == os.getpid() and not owner.is_closed():
                raise GresqueError(
                    f"{self!r} belongs to another event loop, which is open; give each loop a "
                    "client of its own, or call aenqueue of the job, which finds that of its loop"
                )
            self._twin, self._loaded = Twin.of(self._twin), Once()
            self._loop, self._pid = ref(loop), os.getpid()


class ConfiguredJob(Generic[P]):
    """A job with options for its next calls, from `gresque.aio.Client.options`."""

    def __init__(self, client: Client, job: Any, options: CallOptions) -> None:
        self._client = client
        self._job = job
        self._options = options

    def __repr__(self) -> str:
        return f"<{self._job!r} with {self._options}>"

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> JobId | None:
        """Enqueue the job by these options; returns its id, or None when a hook rejected it."""
        return await self._client._enqueue_by(self._options, self._job, args, kwargs)

    async def aenqueue_many(self, calls: Calls, *, spread: Delay | None = None) -> list[JobId]:
        """As `Client.aenqueue_many`, by these options."""
        return await self._client._enqueue_many_by(self._options, self._job, calls, spread)
