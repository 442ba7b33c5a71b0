"""Middleware: functions around each job that this process enqueues or performs, and the context
variables that travel with jobs.

What they tell each other stands in `meta`, a member of the envelope: attempts, moves and recoveries
keep it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

import msgspec

from gresque.errors import EnqueueError, JobDeclarationError, MiddlewareError
from gresque.forked import call_user_code
from gresque.jobs.current import CurrentJob, current_job
from gresque.jobs.envelope import META
from gresque.jobs.ids import JobId, as_text
from gresque.jobs.payload import check_value
from gresque.jobs.result import check_function
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.jobs.definition import JobDefinition

MOST_META_BYTES = 4096
"""It is read and written with the job at each step; data of the job is an argument."""

J = TypeVar("J")


class Message:
    """A job that is to be enqueued, for an enqueue middleware.

    `args`, `kwargs` and `meta` may be changed; the arguments are those of the caller. `options` are
    the options of the call, as far as there are any: `in_` or `at`, both in seconds, `unique`, and
    `cron`, the name of a schedule entry.
    """

    __slots__ = ("_id", "_name", "_options", "_queue", "args", "kwargs", "meta")

    def __init__(
        self,
        job_id: str,
        name: str,
        queue: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        options: Mapping[str, Any],
    ) -> None:
        self._id = job_id
        self._name = name
        self._queue = queue
        self._options = options
        self.args = args
        self.kwargs = kwargs
        self.meta: dict[str, Any] = {}

    def check(self) -> None:
        """Raises EnqueueError when a middleware has set what no job can have."""
        for name, value, kind, wanted in (
            ("args", self.args, Sequence, "a list or a tuple"),
            ("kwargs", self.kwargs, dict, "a dict"),
            ("meta", self.meta, dict, "a dict"),
        ):
            if not isinstance(value, kind) or isinstance(value, str | bytes):
                raise EnqueueError(
                    f"{printable(self._name)}: an enqueue middleware has set message.{name} to a "
                    f"{type(value).__name__}; give it {wanted}"
                )

    def __repr__(self) -> str:
        return f"<Message {self._id} of {self._name} for {self._queue}>"

    @property
    def id(self) -> JobId:
        """The id that the job gets."""
        return JobId(self._id)

    @property
    def name(self) -> str:
        """The "class" in its payload, such as `mail.send_email`."""
        return self._name

    @property
    def queue(self) -> str:
        return self._queue

    @property
    def options(self) -> Mapping[str, Any]:
        return self._options


class JobContext:
    """A job that is performed, for a perform middleware."""

    __slots__ = ("_job", "definition", "error")

    def __init__(
        self, job: CurrentJob, definition: JobDefinition, error: BaseException | None = None
    ) -> None:
        self._job = job
        self.definition = definition
        """Its declaration: `name`, `queue`, `function` and its options."""
        self.error = error
        """None while the job is performed. Around its hooks `on_failure`, `on_retry` and
        `on_give_up`: the exception."""

    def __repr__(self) -> str:
        return f"<JobContext {self.id} of {self.definition.name} from {self.queue}>"

    @property
    def id(self) -> str | None:
        """None when the program that enqueued it gives no ids, as Ruby's resque."""
        return self._job.id

    @property
    def queue(self) -> str:
        """The queue that it was taken from."""
        return self._job.queue

    @property
    def attempt(self) -> int:
        """1 for the first one."""
        return self._job.attempt

    @property
    def meta(self) -> dict[str, Any]:
        """What the enqueue middleware noted; the same as `gresque.current_job().meta`."""
        return self._job.meta


EnqueueMiddleware = Callable[[Message, Callable[[], JobId | None]], Any]
PerformMiddleware = Callable[[JobContext, Callable[[], Any]], Any]
E = TypeVar("E", bound=EnqueueMiddleware)
M = TypeVar("M", bound=PerformMiddleware)


class Chain:
    """The functions of one kind, the outermost first, and the variables that travel."""

    def __init__(self, kind: str, takes: str) -> None:
        self._kind, self._takes = kind, takes
        self.functions: tuple[Callable[..., Any], ...] = ()
        self.variables: tuple[ContextVar[Any], ...] = ()
        self.runs = False
        """False while there is nothing: no job pays for the chain then."""
        self.on_change: Callable[[], None] = lambda: None

    def add(self, function: Callable[..., Any], *, first: bool) -> None:
        """One of the same place in the code (a reloaded module) is replaced."""
        what = f"{self._kind} middleware {_name(function)}"
        if not callable(function):
            raise JobDeclarationError(f"{what} cannot be called; give a function")
        check_function(what, function)
        _check_call(what, function, self._takes)
        place = _place(function)
        known = [
            each is function or (place is not None and _place(each) == place)
            for each in self.functions
        ]
        if any(known):
            at = known.index(True)
            changed = (*self.functions[:at], function, *self.functions[at + 1 :])
        else:
            changed = (function, *self.functions) if first else (*self.functions, function)
        self.set(changed, self.variables)

    def set(
        self, functions: tuple[Callable[..., Any], ...], variables: tuple[ContextVar[Any], ...]
    ) -> None:
        self.functions, self.variables = functions, variables
        self.runs = bool(functions or variables)
        self.on_change()


class EnqueueChain(Chain):
    def run(self, message: Message, make: Callable[[], J | None]) -> J | None:
        """The job that `make` makes of the message, unless a middleware leaves it out."""
        made: J | None = None

        def step(position: int) -> JobId | None:
            nonlocal made
            if position < len(self.functions):
                call_user_code(self.functions[position], message, partial(step, position + 1))
            else:
                message.check()
                made = make()
            return None if made is None else message.id

        for variable in self.variables:
            value = variable.get(_UNSET)
            if value is not _UNSET:
                message.meta[variable.name] = value
        step(0)
        return made


class PerformChain(Chain):
    def around(
        self, definition: JobDefinition, call: Callable[..., Any], error: BaseException | None
    ) -> Callable[..., Any]:
        """A function that calls `call` with its own arguments, within the middleware."""
        if not self.runs:
            return call
        functions, variables = self.functions, self.variables

        def run(*args: Any, **kwargs: Any) -> Any:
            job = current_job()
            if job is None:  # the job's function is called by a test
                return call(*args, **kwargs)
            meta = job.meta
            for variable in variables:
                if variable.name in meta:
                    variable.set(meta[variable.name])
            if not functions:
                return call(*args, **kwargs)
            context, entered = JobContext(job, definition, error), 0

            def step(position: int) -> Any:
                nonlocal entered
                entered = max(entered, position)
                if position == len(functions):
                    return call_user_code(call, *args, **kwargs)
                return call_user_code(functions[position], context, partial(step, position + 1))

            result = step(0)
            if entered < len(functions) and error is None:
                raise MiddlewareError(
                    f"perform middleware {_name(functions[entered])} returned without call_next(): "
                    "the job did not run; raise gresque.DontPerform to skip a job"
                )
            return result

        return run


enqueue_chain = EnqueueChain("enqueue", "message, call_next")
perform_chain = PerformChain("perform", "context, call_next")
_UNSET: Any = object()


def with_meta(
    job: str, envelope: dict[str, Any] | None, meta: dict[str, Any]
) -> dict[str, Any] | None:
    """The envelope of a job with this meta. Raises UnserializableArgument, and EnqueueError for
    more than MOST_META_BYTES."""
    if not meta:
        return envelope
    name = printable(job)
    check_value(meta, f"{name}: meta")
    size = len(msgspec.json.encode(meta, enc_hook=as_text))
    if size > MOST_META_BYTES:
        raise EnqueueError(
            f"{name}: its meta has {size:,} bytes, the limit is {MOST_META_BYTES:,}; pass large "
            "data as an argument, or the name of where it is stored"
        )
    return {**(envelope or {}), META: meta}


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _check_call(what: str, function: Any, takes: str) -> None:
    """Each job would fail, or be refused, for a function that cannot be called so."""
    try:
        parameters = inspect.signature(function)
    except (TypeError, ValueError):  # some callables made in C have none
        return
    try:
        parameters.bind(None, None)
    except TypeError:
        raise JobDeclarationError(
            f"{what} takes {parameters}; it is called with ({takes})"
        ) from None


def _place(function: Any) -> tuple[str, str] | None:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name or "<" in name:  # those within functions are many of one name
        return None
    return module, name


@overload
def enqueue_middleware(function: E, /) -> E: ...
@overload
def enqueue_middleware(*, first: bool = False) -> Callable[[E], E]: ...
def enqueue_middleware(function: Any = None, /, *, first: bool = False) -> Any:
    """Decorator: call `function(message, call_next)` for each job that this process enqueues.

        @gresque.enqueue_middleware
        def add_tenant(message, call_next):
            message.meta["tenant"] = current_tenant()
            return call_next()

    `message` is a `gresque.Message`. `call_next()` calls the other middleware and makes the job; it
    returns the job's id, or None when a hook rejected it. Without it nothing is enqueued, and the
    caller gets None. What the function raises, the caller gets, and nothing is enqueued. The order
    is that of registration; `first` puts it before all that are registered.
    """
    return _register(enqueue_chain, function, first)


@overload
def perform_middleware(function: M, /) -> M: ...
@overload
def perform_middleware(*, first: bool = False) -> Callable[[M], M]: ...
def perform_middleware(function: Any = None, /, *, first: bool = False) -> Any:
    """Decorator: call `function(context, call_next)` around each job that this process performs.

        @gresque.perform_middleware
        def in_tenant(context, call_next):
            with tenant_scope(context.meta.get("tenant")):
                return call_next()

    `context` is a `gresque.JobContext`. `call_next()` calls the other middleware and performs the
    job with its hooks; it returns the result, and raises what the job raises. What the function
    returns is the result, and what it raises ends the job as if the job had raised it. Raise
    `gresque.DontPerform` to skip the job: to return without `call_next()` fails it. The function is
    called once more around the hooks of a failure, `context.error` says of which. The order is as
    in `enqueue_middleware`.
    """
    return _register(perform_chain, function, first)


def _register(chain: Chain, function: Any, first: bool) -> Any:
    if function is None:
        return partial(_register, chain, first=first)
    chain.add(function, first=first)
    return function


def propagate(*variables: ContextVar[Any]) -> None:
    """Let context variables travel with jobs: a job has the values that they had where it was
    enqueued.

        tenant: ContextVar[str] = ContextVar("tenant")
        gresque.propagate(tenant)

    A value is JSON, and stands in the job's meta under the name of its variable. A variable without
    a value does not travel. Programs that enqueue and workers name the same variables.
    """
    for variable in variables:
        if not isinstance(variable, ContextVar):
            raise JobDeclarationError(
                f"propagate({variable!r}): give variables, such as ContextVar('tenant')"
            )
        known = enqueue_chain.variables
        if variable in known:
            continue
        if variable.name in {each.name for each in known}:
            raise JobDeclarationError(
                f"two context variables that travel are named {variable.name!r}; give one of them "
                "another name"
            )
        for chain in (enqueue_chain, perform_chain):
            chain.set(chain.functions, (*known, variable))
