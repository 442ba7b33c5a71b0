"""How users declare jobs: `@gresque.job` and `class X(gresque.Job)`, with the verbs to enqueue."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from inspect import isfunction
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, TypeVar, Unpack

from gresque.client.awaited import AwaitedClass, AwaitedFunction
from gresque.client.default import default_client
from gresque.client.enqueue import definition_of
from gresque.client.function_hooks import FunctionHooks
from gresque.client.options import CallOptions, ConfiguredJob, longjob_options
from gresque.client.when import Delay, Moment
from gresque.errors import JobDeclarationError
from gresque.jobs.definition import JobDefinition, check_callable
from gresque.jobs.hooks import JOB_HOOKS, JobHooks
from gresque.jobs.ids import JobId
from gresque.jobs.misspelt import refuse_misspelt
from gresque.jobs.registry import registry
from gresque.jobs.retry_policy import Backoff, Delays, ErrorClasses, Seconds, retry_policy
from gresque.jobs.source import default_name, name_of, source_of
from gresque.jobs.unique import UniqueOptions, unique_rule
from gresque.schedule.declared import declared

if TYPE_CHECKING:
    from gresque.client.typed import Enqueue, EnqueueAt, EnqueueIn, EnqueueTo, Options

P = ParamSpec("P")
R = TypeVar("R")


class JobFunction(AwaitedFunction[P], FunctionHooks[P], Generic[P, R]):
    """A declared function: still callable as before, and enqueueable; it takes hooks."""

    def __init__(self, function: Callable[P, R], definition: JobDefinition) -> None:
        functools.update_wrapper(self, function)
        self.definition = definition
        self._function = function

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> JobId | None:
        """Put the job into its queue of the default client; returns its id, or None when a hook
        rejected it."""
        return default_client().enqueue(self, *args, **kwargs)

    def enqueue_to(self, queue: str, /, *args: P.args, **kwargs: P.kwargs) -> JobId | None:
        """Put the job into another queue."""
        return default_client().enqueue_to(queue, self, *args, **kwargs)

    def enqueue_in(self, delay: Delay, /, *args: P.args, **kwargs: P.kwargs) -> JobId | None:
        """Enqueue the job to run after this delay: seconds, or a timedelta."""
        return default_client().enqueue_in(delay, self, *args, **kwargs)

    def enqueue_at(self, moment: Moment, /, *args: P.args, **kwargs: P.kwargs) -> JobId | None:
        """Enqueue the job to run at this time: a datetime with a time zone, or seconds since the
        epoch."""
        return default_client().enqueue_at(moment, self, *args, **kwargs)

    def enqueue_unique(self, /, *args: P.args, **kwargs: P.kwargs) -> JobId | None:
        """Enqueue the job unless one with its key waits or runs: the same as the options
        `unique="both"` and `on_duplicate="drop"`."""
        options = longjob_options(self.definition, again=False)
        return default_client()._enqueue_by(options, self, args, kwargs)

    def enqueue_debounce(self, /, *args: P.args, **kwargs: P.kwargs) -> JobId | None:
        """As `enqueue_unique`, with at most one further run after the job that waits or runs: the
        same as `on_duplicate="again"`."""
        options = longjob_options(self.definition, again=True)
        return default_client()._enqueue_by(options, self, args, kwargs)

    def options(
        self,
        *,
        queue: str | None = None,
        in_: Delay | None = None,
        at: Moment | None = None,
        track: Delay | None = None,
        **unique: Unpack[UniqueOptions],
    ) -> ConfiguredJob[P]:
        """The job with options for its next calls: `send.options(in_=300).enqueue(42)`. Those about
        duplicates are as in `gresque.job`; `track` is as `result_ttl_seconds` there."""
        return ConfiguredJob(
            default_client, self, CallOptions.of(queue, in_, at, self, unique, track)
        )

    def __reduce__(self) -> str:
        """Pickled by its place in its module, as a function is, for a pool of processes."""
        return self.__qualname__  # type: ignore[attr-defined,no-any-return]

    def __repr__(self) -> str:
        return f"<job {self.definition.name}>"


def job(
    queue: str | None = None,
    *,
    name: str | None = None,
    on_dirty_exit: str | None = None,
    skip_failed_queue: bool = False,
    timeout_seconds: Seconds | None = None,
    expires_seconds: Seconds | None = None,
    on_expire: str = "fail",
    filter_args: Sequence[str | int] | None = None,
    strict_types: bool = False,
    ruby_keywords: bool = False,
    retries: int | None = None,
    backoff: Backoff | None = None,
    retry_on: ErrorClasses | None = None,
    retry_delays: Mapping[type[BaseException], Delays] | None = None,
    fatal: ErrorClasses = (),
    ignore: ErrorClasses = (),
    retry_for_seconds: Seconds | None = None,
    unique: str | None = None,
    unique_key: Callable[..., Any] | None = None,
    on_duplicate: str | None = None,
    unique_ttl_seconds: Seconds | None = None,
    debounce: Seconds | None = None,
    max_wait: Seconds | None = None,
    throttle: Seconds | None = None,
    trailing: bool = False,
    result_ttl_seconds: Seconds = 0,
) -> Callable[[Callable[P, R]], JobFunction[P, R]]:
    """Declare a function as a job.

        @gresque.job(queue="mail")
        def send_email(user_id, template="welcome"): ...

        send_email.enqueue(42, template="bye")

    `name` is the "class" in its payloads, by default `module.qualname`. `on_dirty_exit` says what
    becomes of it when a shutdown or a crash cuts it short: "requeue" or "fail". After
    `timeout_seconds` it is ended by JobTimeout, while it waits or computes, and fails. When no
    worker takes it up within `expires_seconds` of being enqueued it does not run any more:
    `on_expire` says whether it fails as JobExpired ("fail") or counts as done ("drop").
    `filter_args` are names and positions (from 0) of arguments whose values are shown nowhere, as
    those of passwords and tokens are anyway.

    An argument whose annotation JSON lacks (a datetime, a UUID, a dataclass …) is written as JSON
    and arrives as that type. With `strict_types` every parameter has an annotation, and every
    argument is checked against it. With `ruby_keywords` a last object whose keys are all parameters
    of the job arrives as keywords: Ruby writes `Resque.enqueue(J, "a", k: 1)` so.

    A job that fails is tried again up to `retries` times (the setting RETRIES where this is left
    out), after the delay that `backoff` gives: a number of seconds, a list of them, one for each
    attempt, a function of the attempt, or `gresque.exponential(…)`; by default 16 s, 31 s, 96 s and
    so on. `retry_delays` has delays for classes of exceptions. `retry_on` limits retries to these
    classes, after one of `fatal` there is none, and one of `ignore` takes no attempt.
    `retry_for_seconds` limits the attempts to this time after the first failure; without `retries`
    their number has no limit then.

    `unique` excludes other jobs with the same key. With "queued" no other is enqueued while the job
    waits; with "both" none is enqueued until the job has ended, retries included; with "running"
    every job is enqueued, and no two run at once. The key is the job and its arguments, or the
    result of the function `unique_key` for these arguments: a text, a number or a list.
    `on_duplicate` says what happens to another job with the key: "drop", "replace" (its arguments
    replace those of the job that waits), "again" (one further run, with the latest arguments) or
    "raise". A lock that no job releases expires after `unique_ttl_seconds`.

    With `debounce` each further enqueue puts the job off by this time and replaces its arguments;
    `max_wait` (an hour) after the first enqueue it runs in any case. With `throttle` the first job
    runs at once and others within this time are dropped; with `trailing` one more runs at the end
    of the time, with the latest arguments.

    With `result_ttl_seconds` the job is tracked: `gresque.status`, `result` and `wait` know its
    state, and for this time after its end its result: JSON, of RESULT_MAX_BYTES at most.
    """
    # Nothing but the arguments is local yet.
    options = {option: value for option, value in locals().items() if option in OPTIONS}
    if callable(queue):
        raise JobDeclarationError("write @gresque.job(queue='...') with the name of its queue")

    def declare(function: Callable[P, R]) -> JobFunction[P, R]:
        check_callable(f"job {name or getattr(function, '__qualname__', function)}", function)
        definition = _define(name or name_of(function), function, options)
        registry.add(definition)
        declared.job_came(function, definition)
        return JobFunction(function, definition)

    return declare


OPTIONS = {"queue", *(job.__kwdefaults__ or ())}
"""What a declaration may say, as arguments of `job` or attributes of a `Job`."""

_RETRY = (
    "retries", "backoff", "retry_on", "retry_delays", "fatal", "ignore", "retry_for_seconds",
)  # fmt: skip
_UNIQUE = tuple(UniqueOptions.__annotations__)
_PLAIN = OPTIONS - {"name", *_RETRY, *_UNIQUE}


def _define(
    name: str, function: Callable[..., Any], options: Mapping[str, Any], **more: Any
) -> JobDefinition:
    """The definition that these options make; `more` are fields that are no options."""
    return JobDefinition(
        name=name,
        function=function,
        retry=retry_policy(name, **{option: options[option] for option in _RETRY}),
        unique=unique_rule(
            name, {option: options[option] for option in _UNIQUE}, error=JobDeclarationError
        ),
        **{option: options[option] for option in _PLAIN},
        **more,
    )


class Job(AwaitedClass):
    """Base of jobs in Resque's own shape: a class with a queue, `perform` and hooks.

        class Archive(gresque.Job):
            queue = "file_serve"

            def perform(repo_id, branch="master"): ...
            def before_perform_log(repo_id, branch="master"): ...

        Archive.enqueue(42)

    `perform` and the hooks take the job's arguments and no `self`; they are called on the class.
    `name` overrides the "class" in the payload. A class without `perform` is a mixin of hooks. An
    attribute that looks like a misspelt option raises JobDeclarationError.
    """

    definition: ClassVar[JobDefinition]
    queue: ClassVar[str | None] = None
    name: ClassVar[str | None] = None
    on_dirty_exit: ClassVar[str | None] = None
    skip_failed_queue: ClassVar[bool] = False
    timeout_seconds: ClassVar[Seconds | None] = None
    expires_seconds: ClassVar[Seconds | None] = None
    on_expire: ClassVar[str] = "fail"
    filter_args: ClassVar[Sequence[str | int] | None] = None
    strict_types: ClassVar[bool] = False
    ruby_keywords: ClassVar[bool] = False
    retries: ClassVar[int | None] = None
    backoff: ClassVar[Backoff | None] = None
    retry_on: ClassVar[ErrorClasses | None] = None
    retry_delays: ClassVar[Mapping[type[BaseException], Delays] | None] = None
    fatal: ClassVar[ErrorClasses] = ()
    ignore: ClassVar[ErrorClasses] = ()
    retry_for_seconds: ClassVar[Seconds | None] = None
    unique: ClassVar[str | None] = None
    unique_key: ClassVar[Callable[..., Any] | None] = None
    on_duplicate: ClassVar[str | None] = None
    unique_ttl_seconds: ClassVar[Seconds | None] = None
    debounce: ClassVar[Seconds | None] = None
    max_wait: ClassVar[Seconds | None] = None
    throttle: ClassVar[Seconds | None] = None
    trailing: ClassVar[bool] = False
    result_ttl_seconds: ClassVar[Seconds] = 0

    def __init_subclass__(cls, **options: Any) -> None:
        unknown = ", ".join(option for option in options if option in OPTIONS)
        if unknown:
            raise JobDeclarationError(
                f"job class {cls.__qualname__}: write {unknown} in the body of the class, as an "
                "attribute"
            )
        super().__init_subclass__(**options)
        refuse_misspelt(cls, OPTIONS)
        for attribute, value in list(vars(cls).items()):
            if isfunction(value) and attribute.startswith(("perform", *JOB_HOOKS)):
                setattr(cls, attribute, staticmethod(value))
        perform = getattr(cls, "perform", None)
        if perform is None:
            return
        # A name is for one class: a subclass does not inherit it.
        name = vars(cls).get("name") or default_name(cls.__module__, cls.__qualname__)
        options = {option: getattr(cls, option) for option in OPTIONS}
        cls.definition = _define(
            name,
            perform,
            options,
            hooks=JobHooks(cls),
            source=source_of(perform, cls),
        )
        registry.add(cls.definition)

    if TYPE_CHECKING:
        perform: ClassVar[Callable[..., Any]]
        enqueue: ClassVar[Enqueue] = Enqueue()
        enqueue_to: ClassVar[EnqueueTo] = EnqueueTo()
        enqueue_in: ClassVar[EnqueueIn] = EnqueueIn()
        enqueue_at: ClassVar[EnqueueAt] = EnqueueAt()
        enqueue_unique: ClassVar[Enqueue] = Enqueue()
        enqueue_debounce: ClassVar[Enqueue] = Enqueue()
        options: ClassVar[Options] = Options()
    else:

        @classmethod
        def enqueue(cls, /, *args, **kwargs):
            """Put the job into its queue of the default client; returns its id, or None when a hook
            rejected it."""
            return default_client().enqueue(cls, *args, **kwargs)

        @classmethod
        def enqueue_to(cls, queue, /, *args, **kwargs):
            """Put the job into another queue."""
            return default_client().enqueue_to(queue, cls, *args, **kwargs)

        @classmethod
        def enqueue_in(cls, delay, /, *args, **kwargs):
            """Enqueue the job to run after this delay: seconds, or a timedelta."""
            return default_client().enqueue_in(delay, cls, *args, **kwargs)

        @classmethod
        def enqueue_at(cls, moment, /, *args, **kwargs):
            """Enqueue the job to run at this time: a datetime with a time zone, or seconds since
            the epoch."""
            return default_client().enqueue_at(moment, cls, *args, **kwargs)

        @classmethod
        def enqueue_unique(cls, /, *args, **kwargs):
            """Enqueue the job unless one with its key waits or runs."""
            options = longjob_options(definition_of(cls), again=False)
            return default_client()._enqueue_by(options, cls, args, kwargs)

        @classmethod
        def enqueue_debounce(cls, /, *args, **kwargs):
            """As `enqueue_unique`, with at most one further run."""
            options = longjob_options(definition_of(cls), again=True)
            return default_client()._enqueue_by(options, cls, args, kwargs)

        @classmethod
        def options(cls, *, queue=None, in_=None, at=None, track=None, **unique):
            """The job with options for its next calls."""
            options = CallOptions.of(queue, in_, at, cls, unique, track)
            return ConfiguredJob(default_client, cls, options)
