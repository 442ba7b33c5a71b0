"""The client: enqueueing and looking, against one Redis and one namespace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Unpack, overload

from gresque.client import stand_in, when
from gresque.client.enqueue import (
    Arguments,
    Push,
    allowed,
    checked_queue,
    definition_of,
    enqueue,
    enqueue_bulks,
    queue_of,
)
from gresque.client.flow import FlowControl
from gresque.client.locks import UniqueLocks
from gresque.client.options import AS_DECLARED, CallOptions, ConfiguredJob
from gresque.client.results import JobResults
from gresque.client.schedule import Schedule, schedule, schedule_bulks
from gresque.client.schedules import Schedules
from gresque.client.shard_schedules import ShardSchedules
from gresque.client.sharding import sharding, sharding_of
from gresque.client.spread import OPENING_SECONDS, Spread
from gresque.client.summary import info_of, together
from gresque.client.unique import enqueue_unique, unique_bulks
from gresque.client.waiting_jobs import WaitingJobs, check_page, matches
from gresque.client.when import Delay, Moment
from gresque.connection.urls import check_namespace, mask
from gresque.errors import (
    DuplicateJob,
    EnqueueError,
    GresqueError,
    NotEnqueued,
    PerhapsEnqueued,
    SettingsError,
)
from gresque.jobs import payload
from gresque.jobs.by_hand import remove_queue, take_out
from gresque.jobs.definition import JobDefinition, tracked_as
from gresque.jobs.hooks import call_hooks
from gresque.jobs.ids import JobId, enqueued_at
from gresque.jobs.unique import UniqueOptions
from gresque.seconds import seconds_of
from gresque.settings import (
    DEFAULT_FAILURE_BACKEND,
    DEFAULT_NAMESPACE,
    DEFAULT_REDIS_URL,
    DEFAULT_RETRY_SECONDS,
    MOST_WAIT_REPLICAS,
    OPTIONS,
    Settings,
)
from gresque.shards import Shard, by_key, shards_of

if TYPE_CHECKING:
    from gresque.client.typed import AnyJob, Checked, J, P, Unchecked
    from gresque.store.result_waits import ResultWaits
    from gresque.store.store import Store

Call = Sequence[Any] | Mapping[str, Any]
"""The arguments of one job in a bulk: a tuple or list of positional ones, or a dict of keywords."""


class Client(WaitingJobs, FlowControl, UniqueLocks, JobResults):
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
        retry_seconds: Delay = DEFAULT_RETRY_SECONDS,
        wait_replicas: int = 0,
        urls: Sequence[str] = (),
        shards: int = 1,
        spread: str = "job",
        pinned_queues: str | Sequence[str] = (),
    ) -> None:
        """`failure_backend` is the workers' setting: where `info` counts the failed jobs.
        `retry_seconds`: for how long enqueueing is tried again when Redis fails.
        `wait_replicas`: how many replicas must have a job before its enqueue returns; set it to
        their number.

        `urls`, in place of `redis_url`, are those of several shards, as in REDIS_URLS; `shards`,
        `spread` and `pinned_queues` are as SHARDS, SPREAD and PINNED_QUEUES (docs/scaling.md).
        """
        seconds = seconds_of(retry_seconds)
        if seconds is None or seconds < 0:
            raise SettingsError(f"retry_seconds is a number from 0 on, and not {retry_seconds!r}")
        self.redis_url = argument("redis_url", redis_url)
        self.namespace = argument("namespace", namespace)
        self._sharding = sharding(urls, shards, spread, pinned_queues)
        self._placement = self._sharding.placement(self.redis_url, self.namespace)
        if self._sharding.urls:
            self.redis_url = self._sharding.first_url
        check_namespace(self.redis_url, self.namespace)
        self.failure_backend = argument("failure_backend", failure_backend)
        self.inline = inline
        self.retry_seconds = seconds
        self.wait_replicas = _checked_number(wait_replicas)

    def __repr__(self) -> str:
        inline = ", inline=True" if self.inline else ""
        if self._placement is not None:
            names = ", ".join(shard.name for shard in self._placement.shards)
            return f"Client(shards {names}; {self.namespace!r}{inline})"
        return f"Client({mask(self.redis_url)!r}, {self.namespace!r}{inline})"

    def __getstate__(self) -> dict[str, Any]:
        """For another process: its connections are its own."""
        own = ("store", "_spread", "_stores")
        return {name: value for name, value in vars(self).items() if name not in own}

    @cached_property
    def store(self) -> Store:
        # Imported at the first use: `import gresque` stays cheap, and redis-py is never loaded
        # before `gresque work` has patched the modules it builds on.
        from gresque.store.store import Store

        return Store(
            self.redis_url,
            self.namespace,
            self.retry_seconds,
            wait_replicas=self.wait_replicas,
        )

    @contextmanager
    def _asking(self) -> Iterator[Store]:
        """The store, while a method uses it: errors of Redis are explained plainly."""
        from gresque.connection.errors import plain_errors

        with plain_errors(self.redis_url):
            yield self.store if stand_in.current is None else stand_in.current.to_look(self)

    def _serves(self, settings: Settings) -> bool:
        """Whether it enqueues where these settings say."""
        given = sharding_of(settings)
        place = self.redis_url, self.namespace
        return place == (settings.redis_url, settings.namespace) and self._sharding == given

    # Several shards

    @property
    def _several(self) -> Sequence[Shard]:
        placement = self._placement
        return placement.shards if placement is not None and stand_in.current is None else ()

    @contextmanager
    def _asking_shard(self, shard: Shard) -> Iterator[Store]:
        from gresque.connection.errors import plain_errors

        with plain_errors(shard.url):
            yield self._store_of(shard, True)

    def _store_of(self, shard: Shard, patient: bool) -> Store:
        """The store of one of several shards. One that is not `patient` leaves it to the caller to
        try another shard."""
        place = shard.number, patient
        found = self._stores.get(place)
        if found is None:
            made = self._make_shard_store(shard, self.retry_seconds if patient else 0.0)
            if not patient:
                made.enqueuer.opening_seconds = made.scheduler.opening_seconds = OPENING_SECONDS
            found = self._stores.setdefault(place, made)
        return found

    def _make_shard_store(self, shard: Shard, retry_seconds: float) -> Store:
        from gresque.connection.opening import FIRST_REPLY_SECONDS
        from gresque.store.store import Store

        return Store(
            shard.url,
            shard.namespace,
            retry_seconds,
            reply_seconds=FIRST_REPLY_SECONDS,
            wait_replicas=self.wait_replicas,
            wait_seconds=self.retry_seconds,
        )

    @cached_property
    def _stores(self) -> dict[tuple[int, bool], Store]:
        return {}

    @cached_property
    def _spread(self) -> Spread:
        assert self._placement is not None
        return Spread(self._placement, self._store_of)

    def shard_of(self, *, queue: str | None = None, key: str | None = None) -> str | None:
        """The name of the shard where the jobs of a queue are, or those with this key; None when
        they are on all of them. With one shard it is that one's."""
        if queue is None and key is None:
            raise GresqueError("say of what: shard_of(queue=...) or shard_of(key=...)")
        if self._placement is None:
            (alone,) = shards_of((self.redis_url,), self.namespace)
            return alone.name
        if queue is None:
            return by_key(self._placement.shards, key or "").name
        found = self._placement.of(checked_queue(queue), key or "")
        return None if found is None else found.name

    @property
    def schedules(self) -> Schedules:
        """The entries by which workers enqueue jobs again and again."""
        return ShardSchedules(self) if self._several else Schedules(self._asking)

    # Enqueueing

    @overload
    def enqueue(self, job: Unchecked[J], /, *args: Any, **kwargs: Any) -> JobId | None: ...
    @overload
    def enqueue(self, job: Checked[P], /, *args: P.args, **kwargs: P.kwargs) -> JobId | None: ...
    def enqueue(self, job: Any, /, *args: Any, **kwargs: Any) -> JobId | None:
        """Put a job into its own queue; returns its id, or None when a hook rejected it.

        `job` is a function with `@gresque.job` or a subclass of `gresque.Job`. When it returns, the
        job is in its queue, once. Raises WrongArguments, UnserializableArgument, PayloadTooLarge,
        JobDeclarationError, and when Redis fails NotEnqueued or PerhapsEnqueued.
        """
        definition = definition_of(job)
        if definition.unique is not None:
            return self._enqueue_by(AS_DECLARED, job, args, kwargs)
        return enqueue(self.push, queue_of(definition), definition, args, kwargs)

    @overload
    def enqueue_to(
        self, queue: str, job: Unchecked[J], /, *args: Any, **kwargs: Any
    ) -> JobId | None: ...
    @overload
    def enqueue_to(
        self, queue: str, job: Checked[P], /, *args: P.args, **kwargs: P.kwargs
    ) -> JobId | None: ...
    def enqueue_to(self, queue: str, job: Any, /, *args: Any, **kwargs: Any) -> JobId | None:
        """Put a job into another queue than its own. `job` may also be the bare name of a job that
        another program declares, such as a Ruby class."""
        definition = definition_of(job, checked_queue(queue))
        if definition.unique is not None:
            return self._enqueue_by(CallOptions(queue), job, args, kwargs)
        return enqueue(self.push, queue, definition, args, kwargs)

    @overload
    def enqueue_in(
        self, delay: Delay, job: Checked[P], /, *args: P.args, **kwargs: P.kwargs
    ) -> JobId | None: ...
    @overload
    def enqueue_in(
        self, delay: Delay, job: Unchecked[J], /, *args: Any, **kwargs: Any
    ) -> JobId | None: ...
    def enqueue_in(self, delay: Delay, job: Any, /, *args: Any, **kwargs: Any) -> JobId | None:
        """Enqueue a job that is due after this delay: seconds, or a timedelta."""
        return self._enqueue_by(CallOptions(when=when.delay(delay)), job, args, kwargs)

    @overload
    def enqueue_at(
        self, moment: Moment, job: Checked[P], /, *args: P.args, **kwargs: P.kwargs
    ) -> JobId | None: ...
    @overload
    def enqueue_at(
        self, moment: Moment, job: Unchecked[J], /, *args: Any, **kwargs: Any
    ) -> JobId | None: ...
    def enqueue_at(self, moment: Moment, job: Any, /, *args: Any, **kwargs: Any) -> JobId | None:
        """Enqueue a job that is due at this time: a datetime with a time zone, or seconds since the
        epoch. One that is past goes to its queue at once."""
        return self._enqueue_by(CallOptions(when=when.at(moment)), job, args, kwargs)

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
        """The job with options for the next calls; those about duplicates are as in `gresque.job`.
        With `track` the state and the result are kept for this time, with 0 they are not.

        client.options(send_email, in_=300, queue="low").enqueue(42)
        client.options(sync, debounce=10, max_wait=300).enqueue(42)
        """
        options = CallOptions.of(queue, in_, at, job, unique, track)
        return ConfiguredJob(partial(_itself, self), job, options)

    def enqueue_many(
        self,
        job: AnyJob,
        calls: Iterable[Call],
        *,
        queue: str | None = None,
        in_: Delay | None = None,
        at: Moment | None = None,
        spread: Delay | None = None,
    ) -> list[JobId]:
        """Put many jobs into the queue of `job`, or into `queue`; returns their ids.

            gresque.enqueue_many(send_email, [(1,), (2,), {"user_id": 3, "template": "bye"}])

        One round trip per 1,000 (or 16 MB), each of which arrives once and whole or not at all:
        when one fails, those before it stay enqueued, and the error has their `enqueued_ids`.
        Arguments are checked before their own round trip, so that `calls` may be a generator.
        Enqueue hooks run for each job, `after_enqueue` when its round trip is done.

        With `in_` or `at` they are due then, with `spread` evenly over this time from then on,
        or from now on.
        """
        return self._enqueue_many_by(CallOptions.of(queue, in_, at), job, calls, spread)

    def _enqueue_by(
        self, options: CallOptions, job: Any, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> JobId | None:
        definition, queue = _placed(options, job)
        rule = options.unique or definition.unique
        if rule is not None:
            store = self._reached
            return enqueue_unique(store, queue, definition, rule, args, kwargs, options.when)
        if options.when is None:
            return enqueue(self.push, queue, definition, args, kwargs)
        return schedule(self._schedule, queue, definition, args, kwargs, options.when)

    def _enqueue_many_by(
        self, options: CallOptions, job: Any, calls: Iterable[Call], spread: Delay | None
    ) -> list[JobId]:
        definition, queue = _placed(options, job)
        ids: list[JobId] = []
        after = None if spread is None else when.offsets(spread, calls)
        due = options.when or (when.NOW if after is not None else None)
        if not isinstance(calls, Iterable):
            raise EnqueueError(f"{calls!r} are no calls; give a list of tuples, one for each job")
        split = _split(calls)
        rule = options.unique or definition.unique
        bulks = (
            unique_bulks(self._reached, queue, definition, rule, split, due, after)
            if rule is not None
            else enqueue_bulks(self.push, queue, definition, split)
            if due is None
            else schedule_bulks(self._schedule, queue, definition, split, due, after)
        )
        try:
            for pushed in bulks:
                ids += pushed
        except (NotEnqueued, PerhapsEnqueued, DuplicateJob) as error:
            ids += map(JobId, error.enqueued_ids)
            if not ids:
                raise
            text = f"{error}; the {len(ids):,} jobs of the bulk before it are enqueued"
            another = copy(error)
            another.args = (text,)
            another.enqueued_ids = tuple(ids)
            raise another from error.__cause__
        return ids

    @property
    def push(self) -> Push | None:
        """The function that puts payloads into queues; None when jobs run inline."""
        store = self._reached
        return None if store is None else store.enqueuer.push

    @property
    def _result_waits(self) -> ResultWaits:
        if stand_in.current is not None:
            return stand_in.current.to_look(self).result_waits
        return self.store.result_waits

    @property
    def _reached(self) -> Store | Spread | None:
        """The store that jobs go to; None when they run inline."""
        if stand_in.current is not None:
            return stand_in.current.to_enqueue(self)
        if self.inline:
            return None
        return self.store if self._placement is None else self._spread

    @property
    def _schedule(self) -> Schedule | None:
        store = self._reached
        return None if store is None else store.scheduler.schedule

    # Taking back

    def dequeue(self, job: AnyJob, /, *args: Any, **kwargs: Any) -> int:
        """Remove waiting jobs from the queue of `job`: those with these arguments, or without any
        all of them. Returns how many. Reads the whole queue. Whether an argument was passed by
        its position or by its name makes no difference. Raises UnserializableArgument for what no
        job can have as an argument: as JSON it may be the same as that of another job."""
        definition = definition_of(job)
        queue = queue_of(definition)
        wire, named = definition.wire_of(args, kwargs)
        payload.encode(definition.name, wire, named, "")
        hooks = definition.hooks
        if not allowed(hooks.before_dequeue, args, kwargs):
            return 0
        wanted = definition.call_of(wire, named) if args or kwargs else None

        def remove(store: Store) -> int:
            matching = {raw for raw in store.queues.each(queue) if matches(raw, definition, wanted)}
            return take_out(store, queue, matching) if matching else 0

        removed = sum(self._each(remove))
        call_hooks(hooks.after_dequeue, args, kwargs)
        return removed

    def remove_queue(self, queue: str) -> int:
        """Delete a queue with every job in it; returns how many those were."""
        name = _existing_queue(queue)
        return sum(self._each(lambda store: remove_queue(store, name)))

    # Looking

    def queues(self) -> list[str]:
        """The names of all queues that were ever pushed to, sorted."""
        return sorted({name for names in self._each(_names) for name in names})

    def size(self, queue: str) -> int:
        """How many jobs wait in the queue."""
        name = _existing_queue(queue)
        return sum(self._each(lambda store: store.queues.size(name)))

    def peek(self, queue: str, start: int = 0, count: int = 1) -> list[dict[str, Any]]:
        """`count` waiting jobs from position `start`, the next one first, as their payloads.
        An item that is no JSON object comes as `{"raw": text}`."""
        check_page(start, count)
        name = _existing_queue(queue)
        raws = self._merged(
            lambda store, start, count: store.queues.peek(name, start, count),
            _when_enqueued,
            start,
            count,
        )
        return [payload.read(raw) for raw in raws]

    def info(self) -> dict[str, Any]:
        """Resque's summary: pending, processed, queues, workers, working, failed, servers. Also
        `retried`, the attempts that were followed by another one; `delayed`, the jobs that wait for
        their time; `schedules`, the number of schedule entries; `all_paused`, whether all queues
        are paused; `paused` and `limited`, the names of the queues that are paused by name, and of
        those with a cap or a rate."""
        return together(self._each(lambda store: info_of(store, self.failure_backend)))

    def close(self) -> None:
        """Close the connections. The client may be used again."""
        if "store" in self.__dict__:
            self.store.close()
            del self.__dict__["store"]
        for store in self._stores.values():
            store.close()
        self._stores.clear()


def argument(name: str, value: object) -> str:
    """An argument that is a setting as well, checked as that. Raises SettingsError."""
    if not isinstance(value, str):
        raise SettingsError(f"{name} is a str, and not of type {type(value).__qualname__}")
    try:
        found: str = OPTIONS[name].parse(value)
    except SettingsError as error:
        raise SettingsError(f"{name}: {error}") from None
    return found


def _checked_number(wait_replicas: object) -> int:
    if type(wait_replicas) is not int or not 0 <= wait_replicas <= MOST_WAIT_REPLICAS:
        raise SettingsError(
            f"wait_replicas is a whole number from 0 to {MOST_WAIT_REPLICAS}, and not "
            f"{wait_replicas!r}"
        )
    return wait_replicas


def _placed(options: CallOptions, job: Any) -> tuple[JobDefinition, str]:
    """The definition of what a caller gives as a job, and the queue that the job goes to."""
    queue = options.queue
    definition = definition_of(job, queue)
    if options.track is not None:
        definition = tracked_as(definition, options.track)
    return definition, queue_of(definition) if queue is None else queue


def _names(store: Store) -> list[str]:
    return store.queues.names()


def _when_enqueued(raw: bytes) -> tuple[float, str]:
    """For the order of jobs of several shards; an item without a time comes first."""
    job_id = payload.read(raw).get("id")
    return (enqueued_at(job_id) or 0.0, job_id) if isinstance(job_id, str) else (0.0, "")


def _existing_queue(queue: str) -> str:
    """Another program may have made a queue whose name is not UTF-8."""
    try:
        if queue.encode("utf-8", "surrogateescape"):
            return queue
    except (AttributeError, UnicodeEncodeError):
        pass
    raise GresqueError(f"{queue!r} is not the name of a queue; give one such as 'mail'")


def _itself(client: Client) -> Client:
    """For a job with options, which can be pickled so."""
    return client


_POSITIONAL = tuple, list


def _split(calls: Iterable[Call]) -> Iterator[Arguments]:
    for position, call in enumerate(calls):
        if isinstance(call, _POSITIONAL):
            yield call, {}
        elif isinstance(call, dict):
            yield (), call
        else:
            raise EnqueueError(
                f"job {position} of the bulk: {call!r} are no arguments; give a tuple or list of "
                "positional ones, or a dict of keywords"
            )
