"""What type checkers know of jobs: the arguments of a job's function are those of its enqueues.

No program loads this module: only type checkers read it.

Programs may write a job in three ways, and each is checked as far as its types go:

- a function with `@gresque.job`, by its own parameters;
- a `gresque.Job` whose `perform` is a `@staticmethod`, by those of `perform`;
- one in Resque's own shape, `def perform(repo_id)`, whose first parameter a type checker takes for
  the object: its arguments are not checked, nor those of a bare name.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    Unpack,
    overload,
)

from gresque.jobs.ids import JobId

if TYPE_CHECKING:
    from gresque.client.declare import Job, JobFunction
    from gresque.client.options import ConfiguredJob
    from gresque.client.when import Delay, Moment
    from gresque.jobs.unique import UniqueOptions

P = ParamSpec("P")
J = TypeVar("J", bound="Job", contravariant=True)


class Performs(Protocol[P]):
    """A class whose `perform` is called on the class with the arguments P."""

    def perform(self, *args: P.args, **kwargs: P.kwargs) -> Any: ...


class PerformsPlainly(Protocol[J]):
    """A class whose `perform` seems to want an object of the class first."""

    def perform(self, job: J, /, *args: Any, **kwargs: Any) -> Any: ...


if TYPE_CHECKING:
    Checked: TypeAlias = JobFunction[P, Any] | Performs[P]
    Unchecked: TypeAlias = PerformsPlainly[J] | str
    AnyJob: TypeAlias = JobFunction[..., Any] | type[Job] | str


class Enqueue:
    """`Archive.enqueue(*args)`, for type checkers."""

    @overload
    def __get__(self, instance: None, owner: PerformsPlainly[J]) -> Callable[..., JobId | None]: ...
    @overload
    def __get__(self, instance: None, owner: Performs[P]) -> Callable[P, JobId | None]: ...
    def __get__(self, instance: None, owner: Any) -> Any: ...


class EnqueueTo:
    """`Archive.enqueue_to(queue, *args)`, for type checkers."""

    @overload
    def __get__(
        self, instance: None, owner: PerformsPlainly[J]
    ) -> Callable[Concatenate[str, ...], JobId | None]: ...
    @overload
    def __get__(
        self, instance: None, owner: Performs[P]
    ) -> Callable[Concatenate[str, P], JobId | None]: ...
    def __get__(self, instance: None, owner: Any) -> Any: ...


class EnqueueIn:
    """`Archive.enqueue_in(delay, *args)`, for type checkers."""

    @overload
    def __get__(
        self, instance: None, owner: PerformsPlainly[J]
    ) -> Callable[Concatenate[Delay, ...], JobId | None]: ...
    @overload
    def __get__(
        self, instance: None, owner: Performs[P]
    ) -> Callable[Concatenate[Delay, P], JobId | None]: ...
    def __get__(self, instance: None, owner: Any) -> Any: ...


class EnqueueAt:
    """`Archive.enqueue_at(moment, *args)`, for type checkers."""

    @overload
    def __get__(
        self, instance: None, owner: PerformsPlainly[J]
    ) -> Callable[Concatenate[Moment, ...], JobId | None]: ...
    @overload
    def __get__(
        self, instance: None, owner: Performs[P]
    ) -> Callable[Concatenate[Moment, P], JobId | None]: ...
    def __get__(self, instance: None, owner: Any) -> Any: ...


Enqueueing: TypeAlias = Coroutine[Any, Any, JobId | None]


class AwaitEnqueue:
    """`await Archive.aenqueue(*args)`, for type checkers."""

    @overload
    def __get__(self, instance: None, owner: PerformsPlainly[J]) -> Callable[..., Enqueueing]: ...
    @overload
    def __get__(self, instance: None, owner: Performs[P]) -> Callable[P, Enqueueing]: ...
    def __get__(self, instance: None, owner: Any) -> Any: ...


class AwaitEnqueueTo:
    """`await Archive.aenqueue_to(queue, *args)`, for type checkers."""

    @overload
    def __get__(
        self, instance: None, owner: PerformsPlainly[J]
    ) -> Callable[Concatenate[str, ...], Enqueueing]: ...
    @overload
    def __get__(
        self, instance: None, owner: Performs[P]
    ) -> Callable[Concatenate[str, P], Enqueueing]: ...
    def __get__(self, instance: None, owner: Any) -> Any: ...


class AwaitEnqueueIn:
    """`await Archive.aenqueue_in(delay, *args)`, for type checkers."""

    @overload
    def __get__(
        self, instance: None, owner: PerformsPlainly[J]
    ) -> Callable[Concatenate[Delay, ...], Enqueueing]: ...
    @overload
    def __get__(
        self, instance: None, owner: Performs[P]
    ) -> Callable[Concatenate[Delay, P], Enqueueing]: ...
    def __get__(self, instance: None, owner: Any) -> Any: ...


class AwaitEnqueueAt:
    """`await Archive.aenqueue_at(moment, *args)`, for type checkers."""

    @overload
    def __get__(
        self, instance: None, owner: PerformsPlainly[J]
    ) -> Callable[Concatenate[Moment, ...], Enqueueing]: ...
    @overload
    def __get__(
        self, instance: None, owner: Performs[P]
    ) -> Callable[Concatenate[Moment, P], Enqueueing]: ...
    def __get__(self, instance: None, owner: Any) -> Any: ...


class MakeConfigured(Protocol[P]):
    """`Archive.options`, once its class is known."""

    def __call__(
        self,
        *,
        queue: str | None = None,
        in_: Delay | None = None,
        at: Moment | None = None,
        track: Delay | None = None,
        **unique: Unpack[UniqueOptions],
    ) -> ConfiguredJob[P]: ...


class Options:
    """`Archive.options(...)`, for type checkers."""

    @overload
    def __get__(self, instance: None, owner: PerformsPlainly[J]) -> MakeConfigured[...]: ...
    @overload
    def __get__(self, instance: None, owner: Performs[P]) -> MakeConfigured[P]: ...
    def __get__(self, instance: None, owner: Any) -> Any: ...
