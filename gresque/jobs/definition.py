"""A declared job: the function to call and how it wants to be treated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from inspect import Signature, signature
from typing import Any
from weakref import WeakSet

import msgspec

import gresque.clock as clock
from gresque.errors import DontPerform, GresqueError, JobDeclarationError, RetryLater
from gresque.forked import call_user_code
from gresque.jobs.call_check import CallCheck, call_check
from gresque.jobs.envelope import DIRTY_EXIT
from gresque.jobs.filter_args import MEMBER, hidden_of
from gresque.jobs.foreign_args import ForeignArgs
from gresque.jobs.hooks import JobHooks, call_hooks
from gresque.jobs.ids import as_text
from gresque.jobs.meter import NO_METER, Meter
from gresque.jobs.middleware import perform_chain
from gresque.jobs.result import PLAIN, check_function, check_result, takes_self
from gresque.jobs.retry_policy import RetryPolicy
from gresque.jobs.source import MAIN, Source, source_of
from gresque.jobs.tracking import TRACK, checked_ttl
from gresque.jobs.typed_args import TypedArgs, typed_args
from gresque.jobs.unique import UniqueRule
from gresque.seconds import seconds_of
from gresque.text import is_utf8

DIRTY_EXITS = ("requeue", "fail")
EXPIRIES = ("fail", "drop")


@dataclass(frozen=True, eq=False)
class JobDefinition:
    """A job as `@gresque.job` or a subclass of `gresque.Job` declares it.

    `name` is the "class" of its payloads. `on_dirty_exit` is `requeue`, `fail`, or None for the
    worker's setting. With `skip_failed_queue` a failure is counted and leaves no entry behind.
    A job that runs for over `timeout_seconds` is ended by JobTimeout, to a tenth of a second. One
    that no worker takes up within `expires_seconds` of being enqueued never runs: with `on_expire`
    `fail` it fails as JobExpired, with `drop` it counts as done. `retry` says whether it is tried
    again when it fails, None for the worker's setting. `unique` says what becomes of it while
    another one with its key waits or runs, None for a job that excludes no other.
    """

    name: str
    queue: str | None
    function: Callable[..., Any]
    on_dirty_exit: str | None = None
    skip_failed_queue: bool = False
    timeout_seconds: float | None = None
    expires_seconds: float | None = None
    on_expire: str = "fail"
    retry: RetryPolicy | None = None
    unique: UniqueRule | None = None
    result_ttl_seconds: int = 0
    """For how long its state and result are kept; 0: they are not."""
    filter_args: Sequence[str | int] | None = None
    """Names and positions of arguments that are not shown."""
    strict_types: bool = False
    """Every argument is checked against its annotation."""
    ruby_keywords: bool = False
    """A last object whose keys are parameters holds keywords, as Ruby writes them."""
    is_active_job: bool = False
    """It performs the payloads of ActiveJob whose class has its name, too."""
    hooks: JobHooks = field(default_factory=JobHooks)
    source: Source = None  # type: ignore[assignment]
    """Where it was declared."""
    envelope: dict[str, Any] | None = field(init=False, default=None)
    """Its part of each payload, for a process that lacks its code."""
    meter: Meter = field(init=False, repr=False, default=NO_METER)
    """That of its jobs from the queue from which the last one came, in a worker process."""
    typed_args: TypedArgs | None = field(init=False, repr=False, default=None)
    """The conversions of its arguments; None when none needs any."""
    foreign_args: ForeignArgs | None = field(init=False, repr=False, default=None)
    """How it reads what programs in Ruby write; None for most jobs."""
    call: Callable[..., Any] = field(init=False, repr=False)
    """`perform` with the arguments of a payload, within the perform middleware, in as few frames as
    it takes: without these, conversions and perform hooks it is the function itself. The caller
    handles DontPerform and checks the result."""

    def __post_init__(self) -> None:
        if self.source is None:
            found = source_of(self.function)  # type: ignore[unreachable]
            object.__setattr__(self, "source", found)
        if not isinstance(self.name, str) or not self.name or not is_utf8(self.name):
            raise JobDeclarationError(
                f"{self.name!r} is not the name of a job; give one such as 'mail.send'"
            )
        check_callable(f"job {self.name}", self.function)
        for option in ("strict_types", "skip_failed_queue", "ruby_keywords"):
            self._check_flag(option)
        if self.ruby_keywords or self.is_active_job:
            foreign = ForeignArgs(
                self.name, self.function,
                ruby_keywords=self.ruby_keywords, is_active_job=self.is_active_job,
            )  # fmt: skip
            object.__setattr__(self, "foreign_args", foreign)
        self._set_typed_args(
            typed_args(self.name, self.function, self._set_typed_args, strict=self.strict_types)
        )
        _alive.add(self)
        if self.on_dirty_exit not in (None, *DIRTY_EXITS):
            raise JobDeclarationError(
                f"job {self.name}: on_dirty_exit={self.on_dirty_exit!r} is unknown; "
                "give 'requeue' or 'fail'"
            )
        envelope: dict[str, Any] = {DIRTY_EXIT: self.on_dirty_exit} if self.on_dirty_exit else {}
        if self.retry is not None:
            envelope |= self.retry.envelope
        if hidden := hidden_of(self.name, self.function, self.filter_args):
            envelope[MEMBER] = hidden
        ttl = checked_ttl(f"job {self.name}: result_ttl_seconds", self.result_ttl_seconds)
        object.__setattr__(self, "result_ttl_seconds", ttl)
        if ttl:
            envelope[TRACK] = ttl
        object.__setattr__(self, "envelope", envelope or None)
        self._take_seconds("timeout_seconds", "no time to run in")
        self._take_seconds("expires_seconds", "no time to wait")
        if self.on_expire not in EXPIRIES:
            raise JobDeclarationError(
                f"job {self.name}: on_expire={self.on_expire!r} is unknown; give 'fail' or 'drop'"
            )
        if self.queue is not None and (
            not isinstance(self.queue, str) or not self.queue or not is_utf8(self.queue)
        ):
            raise JobDeclarationError(f"job {self.name}: the queue must be a name, such as 'mail'")

    def _set_typed_args(self, found: TypedArgs | None = None) -> None:
        object.__setattr__(self, "typed_args", found)
        self.compose()

    def add_hook(self, kind: str, hook: Callable[..., Any]) -> None:
        what = f"{kind} hook {getattr(hook, '__qualname__', repr(hook))} of job {self.name}"
        self.hooks.add(what, kind, hook)
        self.compose()

    def compose(self) -> None:
        """Work out `call` again: what surrounds the function has changed."""
        call = self.perform if self.hooks.around_execution else self.function
        if self.foreign_args is not None:
            call = self.foreign_args.before(call, self.typed_args)
        elif self.typed_args is not None:
            call = self.typed_args.before(call)
        object.__setattr__(self, "call", perform_chain.around(self, call, None))

    def _check_flag(self, option: str) -> None:
        given = getattr(self, option)
        if not isinstance(given, bool):
            raise JobDeclarationError(
                f"job {self.name}: {option}={given!r} is unknown; give True or False"
            )

    def _take_seconds(self, option: str, wrong: str) -> None:
        """Declarations may also give a timedelta."""
        given = getattr(self, option)
        if given is None:
            return
        seconds = seconds_of(given)
        if seconds is None or seconds <= 0:
            raise JobDeclarationError(
                f"job {self.name}: {option}={given!r} is {wrong}; give a number of seconds above "
                "0, or leave it out"
            )
        object.__setattr__(self, option, seconds)

    @cached_property
    def nowhere(self) -> bool:
        """No worker can import it: it was declared at a prompt, in a notebook or by `-c`."""
        return self.name.startswith(f"{MAIN}.")

    def perform(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the job with its perform hooks, in Resque's order. `DontPerform` skips it.

        Raises InvalidJobResult when it, or a hook, returns a coroutine or a generator.
        """
        hooks = self.hooks
        try:
            if not hooks.around_execution:
                result = self.function(*args, **kwargs)
                if result is not None and type(result) not in PLAIN:
                    check_result(f"job {self.name}", result)
                return result
            call_hooks(hooks.before_perform, args, kwargs)
            result = self._perform_around(hooks.around_perform, args, kwargs)
            call_hooks(hooks.after_perform, args, kwargs)
        except DontPerform:
            return None
        return result

    def wire_of(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Sequence[Any], dict[str, Any]]:
        """The arguments of a call as a payload has them. Raises WrongArguments and
        UnserializableArgument."""
        if self.typed_args is None:
            return args, dict(kwargs)
        wire = self.typed_args.write(args, kwargs)
        return wire.args, wire.kwargs

    def call_of(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
        """The arguments of a payload in one spelling: `f(1, b=2)` and `f(1, 2)` are the same call
        of `f(a, b)`. As in JSON a tuple is a list, and 1 is not true. Defaults are not filled in,
        as they may change while jobs wait."""
        if self.foreign_args is not None:
            args, kwargs = self.foreign_args.plain(args, kwargs)
        call: Any = None
        if self._plain_names is not None:  # takes a fifth of the time of `bind`
            names, required = self._plain_names
            if not kwargs and required <= len(args) <= len(names):
                call = dict(zip(names, args, strict=False))
        if call is None:
            call = [args, kwargs]
            if self._signature is not None:
                with suppress(TypeError):  # the function does not take these arguments
                    call = self._signature.bind(*args, **kwargs).arguments
        return msgspec.json.encode(call, enc_hook=as_text, order="sorted")

    @cached_property
    def check_call(self) -> CallCheck | None:
        """Raises WrongArguments for a call that the function does not take."""
        return call_check(self.name, self.function)

    @cached_property
    def _signature(self) -> Signature | None:
        try:
            return signature(self.function)
        except (TypeError, ValueError):  # some functions made in C have none
            return None

    @cached_property
    def _plain_names(self) -> tuple[list[str], int] | None:
        """The names of the parameters, and how many have no default. None for a function with other
        parameters than those that take one argument, by position or by name."""
        if self._signature is None:
            return None
        parameters = self._signature.parameters.values()
        if any(each.kind is not each.POSITIONAL_OR_KEYWORD for each in parameters):
            return None
        required = sum(each.default is each.empty for each in parameters)
        return [each.name for each in parameters], required

    def _perform_around(
        self, around: tuple[Callable[..., Any], ...], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Each around hook gets `perform` first, a callable that runs the rest."""
        if not around:
            result = call_user_code(self.function, *args, **kwargs)
            check_result(f"job {self.name}", result)
            return result
        rest = around[1:]
        result = call_user_code(
            around[0], lambda: self._perform_around(rest, args, kwargs), *args, **kwargs
        )
        check_result(f"an around_perform hook of job {self.name}", result)
        return result

    def fail(self, error: BaseException, /, *args: Any, **kwargs: Any) -> None:
        """Tell the job's hooks that it has failed for good; a wish to run later is no failure."""
        if isinstance(error, RetryLater):
            return
        self.tell("on_failure", error, args, kwargs)
        if self.retry is not None and self.retry.retries:
            self.tell("on_give_up", error, args, kwargs)

    def tell(
        self, kind: str, error: BaseException, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        """Call the hooks of one kind that are about a failure, within the perform middleware."""
        hooks = getattr(self.hooks, kind)
        if hooks:
            with suppress(GresqueError):  # they are why it failed
                if self.foreign_args is not None:
                    args, kwargs = self.foreign_args.read(args, kwargs, self.typed_args)
                elif self.typed_args is not None:
                    args, kwargs = self.typed_args.read(args, kwargs)
            call = perform_chain.around(self, partial(call_hooks, hooks), error)
            call((error, *args), kwargs)


_alive: WeakSet[JobDefinition] = WeakSet()


def _compose_all() -> None:
    for definition in list(_alive):
        definition.compose()


perform_chain.on_change = _compose_all


@lru_cache(maxsize=1000)
def tracked_as(definition: JobDefinition, seconds: int) -> JobDefinition:
    """The same job, whose result is kept for this time."""
    return replace(definition, result_ttl_seconds=seconds)


def expiry(definition: JobDefinition) -> float | None:
    """When a job that is enqueued now is too late to run: epoch seconds, None for never."""
    if definition.expires_seconds is None:
        return None
    return round(clock.now() + definition.expires_seconds, 3)


def check_callable(what: str, function: Any) -> None:
    """Raise JobDeclarationError for what a worker cannot call, or calls for nothing."""
    if isinstance(function, type):
        raise JobDeclarationError(
            f"{what} is a class; derive it from gresque.Job instead of decorating it: "
            f"class {function.__name__}(gresque.Job), with its queue as an attribute"
        )
    if isinstance(function, classmethod):
        raise JobDeclarationError(
            f"{what} is a classmethod, and a worker has no class to call it on; derive the class "
            "from gresque.Job and call it perform, or declare a function that calls it"
        )
    if not callable(function):
        raise JobDeclarationError(f"{what}: {function!r} cannot be called; declare a function")
    if takes_self(function):
        raise JobDeclarationError(
            f"{what} is a method, and a worker has no object to call it on; "
            "leave out its self and declare it outside of the class, or in a gresque.Job"
        )
    check_function(what, function)
