"""The client: enqueueing and looking, against one Redis and one namespace."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from gresque.connection.urls import mask
from gresque.errors import (
    EnqueueError,
    GresqueError,
    JobDeclarationError,
    NotEnqueued,
    PerhapsEnqueued,
    SettingsError,
)
from gresque.jobs import payload
from gresque.jobs.definition import JobDefinition, expiry
from gresque.jobs.hooks import call_hook, call_hooks
from gresque.jobs.ids import new_id, new_ids
from gresque.settings import (
    DEFAULT_FAILURE_BACKEND,
    DEFAULT_NAMESPACE,
    DEFAULT_REDIS_URL,
    DEFAULT_RETRY_SECONDS,
    OPTIONS,
    one_list_each,
)
from gresque.store.bulk import in_bulks
from gresque.text import is_utf8

if TYPE_CHECKING:
    from gresque.store.store import Store

Call = Sequence[Any] | Mapping[str, Any]
"""The arguments of one job in a bulk: a tuple or list of positional ones, or a dict of keywords."""


class Client:
    """Enqueues jobs and looks at queues. Greenlets and threads may share one.

    It connects at the first use. With `inline=True` a job runs at once in the caller, as tests
    want it, and nothing reaches Redis.

    Every method that talks to Redis raises RedisUnavailable when that fails. Enqueueing is tried
    again first, for `retry_seconds`, and never doubles a job; then it raises NotEnqueued, or
    PerhapsEnqueued when that is not known (see docs/enqueueing.md).
    """

    def __init__(
        self,
        redis_url: str = DEFAULT_REDIS_URL,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        failure_backend: str = DEFAULT_FAILURE_BACKEND,
        inline: bool = False,
        retry_seconds: float = DEFAULT_RETRY_SECONDS,
    ) -> None:
        """`failure_backend` is the workers' setting: where `info` counts the failed jobs.
        `retry_seconds`: for how long enqueueing is tried again when Redis fails."""
        if not isinstance(retry_seconds, int | float) or not 0 <= retry_seconds < math.inf:
            raise SettingsError(f"retry_seconds is a number from 0 on, and not {retry_seconds!r}")
        self.redis_url = redis_url
        self.namespace = namespace
        self.failure_backend: str = OPTIONS["failure_backend"].parse(failure_backend)
        self.inline = inline
        self.retry_seconds = retry_seconds

    @cached_property
    def store(self) -> Store:
        # Imported at the first use: `import gresque` stays cheap, and redis-py is never loaded
        # before `gresque work` has patched the modules it builds on.
        from gresque.store.store import Store

        return Store(self.redis_url, self.namespace, self.retry_seconds)

    @contextmanager
    def _asking(self) -> Iterator[Store]:
        """The store, while a method asks something of it: what Redis raises is told plainly."""
        from gresque.connection.errors import plain_errors

        with plain_errors(self.redis_url):
            yield self.store

    # Enqueueing

    def enqueue(self, job: Any, /, *args: Any, **kwargs: Any) -> str | None:
        """Put a job into its own queue; returns its id, or None when a hook rejected it.

        `job` is a function with `@gresque.job` or a subclass of `gresque.Job`. When it returns, the
        job is in its queue, once. Raises UnserializableArgument, PayloadTooLarge,
        JobDeclarationError, and when Redis fails NotEnqueued or PerhapsEnqueued.
        """
        definition = definition_of(job)
        return self._enqueue(_queue_of(definition), definition, args, kwargs)

    def enqueue_to(self, queue: str, job: Any, /, *args: Any, **kwargs: Any) -> str | None:
        """Put a job into another queue than its own. `job` may also be the bare name of a job that
        another program declares, such as a Ruby class."""
        return self._enqueue(_checked_queue(queue), definition_of(job, queue), args, kwargs)

    def enqueue_many(
        self, job: Any, calls: Iterable[Call], *, queue: str | None = None
    ) -> list[str]:
        """Put many jobs into the queue of `job`, or into `queue`; returns their ids.

            gresque.enqueue_many(send_email, [(1,), (2,), {"user_id": 3, "template": "bye"}])

        One round trip per 1,000 (or 16 MB), each of which arrives once and whole or not at all:
        when one fails, those before it stay enqueued, and the error has their `enqueued_ids`.
        Arguments are checked before their own round trip, so that `calls` may be a generator.
        Enqueue hooks run for each job, `after_enqueue` when its round trip is done.
        """
        definition = definition_of(job, queue)
        self._check_reach(definition)
        queue = _checked_queue(queue) if queue is not None else _queue_of(definition)
        ids: list[str] = []
        jobs = self._encode_many(definition, calls)
        for batch in in_bulks(jobs, lambda job: len(job[1])):
            if self.inline:
                for _, raw, _ in batch:
                    _perform_inline(definition, raw)
            else:
                self._push_batch(queue, [raw for _, raw, _ in batch], ids)
            for job_id, _, call in batch:
                ids.append(job_id)
                if definition.hooks.after_enqueue:
                    call_hooks(definition.hooks.after_enqueue, *_split(call))
        return ids

    def _push_batch(self, queue: str, raws: list[bytes], before: list[str]) -> None:
        try:
            self.store.queues.push_batch(queue, raws)
        except (NotEnqueued, PerhapsEnqueued) as error:
            if not before:
                raise
            told = f"{error}; the {len(before):,} jobs of the bulk before it are enqueued"
            another = type(error)(told)
            another.enqueued_ids = tuple(before)
            raise another from error.__cause__

    def _enqueue(
        self, queue: str, definition: JobDefinition, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> str | None:
        self._check_reach(definition)
        job_id = new_id()
        raw = payload.encode(definition.name, args, kwargs, job_id, expires_at=expiry(definition))
        hooks = definition.hooks
        if hooks.before_enqueue and not _allowed(hooks.before_enqueue, args, kwargs):
            return None
        if self.inline:
            _perform_inline(definition, raw)
        else:
            self.store.queues.push(queue, raw)
        if hooks.after_enqueue:
            call_hooks(hooks.after_enqueue, args, kwargs)
        return job_id

    def _check_reach(self, definition: JobDefinition) -> None:
        if definition.nowhere and not self.inline:
            raise EnqueueError(
                f"job {definition.name} is declared where no worker can import it (a prompt, a "
                "notebook, -c, stdin); move it to a module, or give it the name= under which a "
                "worker knows it"
            )

    def _encode_many(
        self, definition: JobDefinition, calls: Iterable[Call]
    ) -> Iterator[tuple[str, bytes, Call]]:
        """The jobs of a bulk that no hook rejects: id, payload, arguments."""
        hooks, name, encode = definition.hooks, definition.name, payload.encode
        ids = new_ids()
        for position, call in enumerate(calls):
            args, kwargs = _split(call)
            if hooks.before_enqueue and not _allowed(hooks.before_enqueue, args, kwargs):
                continue
            job_id = next(ids)
            try:
                raw = encode(name, args, kwargs, job_id, expires_at=expiry(definition))
                yield job_id, raw, call
            except GresqueError as error:
                raise type(error)(f"job {position} of the bulk: {error}") from None

    # Taking back

    def dequeue(self, job: Any, /, *args: Any, **kwargs: Any) -> int:
        """Remove waiting jobs from the queue of `job`: those with these arguments, or without any
        all of them. Returns how many. Reads the whole queue. Whether an argument was passed by
        its position or by its name makes no difference."""
        definition = definition_of(job)
        queue = _queue_of(definition)
        hooks = definition.hooks
        if not _allowed(hooks.before_dequeue, args, kwargs):
            return 0
        wanted = definition.call_of(args, kwargs) if args or kwargs else None
        with self._asking() as store:
            matching = {
                raw
                for raw in store.queues.peek(queue, 0, 0x7FFFFFFF)
                if _matches(raw, definition, wanted)
            }
            removed = store.queues.remove_items(queue, matching) if matching else 0
        call_hooks(hooks.after_dequeue, args, kwargs)
        return removed

    def remove_queue(self, queue: str) -> int:
        """Delete a queue with every job in it; returns how many those were."""
        with self._asking() as store:
            return store.queues.remove(_existing_queue(queue))

    # Looking

    def queues(self) -> list[str]:
        """The names of all queues that were ever pushed to, sorted."""
        with self._asking() as store:
            return store.queues.names()

    def size(self, queue: str) -> int:
        """How many jobs wait in the queue."""
        with self._asking() as store:
            return store.queues.size(_existing_queue(queue))

    def peek(self, queue: str, start: int = 0, count: int = 1) -> list[dict[str, Any]]:
        """`count` waiting jobs from position `start`, the next one first, as their payloads.
        An item that is no JSON object comes as `{"raw": text}`."""
        with self._asking() as store:
            return [
                payload.loads(raw)
                for raw in store.queues.peek(_existing_queue(queue), start, count)
            ]

    def info(self) -> dict[str, Any]:
        """Resque's summary: pending, processed, queues, workers, working, failed, servers."""
        with self._asking() as store:
            found = store.stats.summary(one_list_each(self.failure_backend))
        return {
            "pending": found.pending,
            "processed": found.processed,
            "queues": found.queues,
            "workers": found.workers,
            "working": found.in_flight,
            "failed": found.failed_list,
            "servers": [mask(self.redis_url)],
        }

    def close(self) -> None:
        """Close the connections. The client may be used again."""
        if "store" in self.__dict__:
            self.store.close()
            del self.__dict__["store"]


def definition_of(job: Any, queue: str | None = None) -> JobDefinition:
    """The definition behind what a user passes as a job: a decorated function, a Job subclass, or
    with a queue beside it a bare name."""
    definition = getattr(job, "definition", None)
    if isinstance(definition, JobDefinition):
        return definition
    if isinstance(job, str) and queue is not None:
        return _named(job, queue)
    if isinstance(job, str):
        raise EnqueueError(
            f"{job!r} is only a name: its queue is not known here; use enqueue_to(queue, {job!r})"
        )
    raise EnqueueError(
        f"{job!r} is not a job; declare it with @gresque.job(queue=...) or as a gresque.Job"
    )


def _perform_inline(definition: JobDefinition, raw: bytes) -> None:
    """Run a job in the caller; its arguments have been through JSON, as a worker would see them."""
    args, kwargs = payload.split(payload.decode(raw).args)
    try:
        definition.perform(*args, **kwargs)
    except Exception as error:
        definition.fail(error, *args, **kwargs)
        raise


@lru_cache(maxsize=1000)
def _named(name: str, queue: str) -> JobDefinition:
    """Made once for each: looking for hooks costs a quarter of an enqueue."""
    return JobDefinition(name=name, queue=queue, function=_elsewhere(name))


def _elsewhere(name: str) -> Callable[..., Any]:
    def perform(*args: Any, **kwargs: Any) -> None:
        raise JobDeclarationError(f"{name} is declared in another program; it cannot run here")

    return perform


def _queue_of(definition: JobDefinition) -> str:
    if definition.queue is None:
        raise EnqueueError(
            f"job {definition.name} has no queue; declare one, or use enqueue_to(queue, job)"
        )
    return definition.queue


def _checked_queue(queue: str) -> str:
    if not isinstance(queue, str) or not queue or not is_utf8(queue):
        raise EnqueueError(f"{queue!r} is not the name of a queue; give one such as 'mail'")
    return queue


def _existing_queue(queue: str) -> str:
    """Another program may have made a queue whose name is not UTF-8."""
    try:
        if queue.encode("utf-8", "surrogateescape"):
            return queue
    except (AttributeError, UnicodeEncodeError):
        pass
    raise GresqueError(f"{queue!r} is not the name of a queue; give one such as 'mail'")


def _allowed(
    hooks: tuple[Callable[..., Any], ...], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> bool:
    """Resque's rule: a before hook that returns False rejects; None does not."""
    return all(call_hook(hook, args, kwargs) is not False for hook in hooks)


def _split(call: Call) -> tuple[Sequence[Any], dict[str, Any]]:
    if isinstance(call, tuple | list):
        return call, {}
    if isinstance(call, dict):
        return (), call
    raise EnqueueError(
        f"{call!r} are no arguments; give a tuple or list of positional ones, or a dict of keywords"
    )


def _matches(raw: bytes, definition: JobDefinition, wanted: bytes | None) -> bool:
    item = payload.loads(raw)
    if item.get("class") != definition.name:
        return False
    if wanted is None:
        return True
    args, kwargs = item.get("args") or (), item.get("kwargs") or {}
    return isinstance(args, Sequence) and definition.call_of(args, kwargs) == wanted
