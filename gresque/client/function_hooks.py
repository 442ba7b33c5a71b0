"""The hooks of a declared function: `@send_email.before_perform`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from gresque.jobs.definition import JobDefinition

P = ParamSpec("P")
T = TypeVar("T")

Rest = Callable[[], Any]


class FunctionHooks(Generic[P]):
    """Decorators that register hooks of a job, by Resque's names. Those of one kind are called in
    the order of their registration, with the job's arguments; docs/api.md says when, and what each
    may do.

        @send_email.before_perform
        def check(user_id, template="welcome"): ...

    They raise JobDeclarationError for what would run nothing, such as an async function.
    """

    definition: JobDefinition

    def before_enqueue(self, hook: Callable[P, T], /) -> Callable[P, T]:
        """Decorator: call `hook` with the job's arguments where the job is enqueued, before it is
        pushed. `return False` rejects the job."""
        self.definition.add_hook("before_enqueue", hook)
        return hook

    def after_enqueue(self, hook: Callable[P, T], /) -> Callable[P, T]:
        """Decorator: call `hook` where the job is enqueued, when it is in its queue."""
        self.definition.add_hook("after_enqueue", hook)
        return hook

    def before_schedule(self, hook: Callable[P, T], /) -> Callable[P, T]:
        """Decorator: call `hook` before a job is made that is to wait for its time. `return False`
        rejects it."""
        self.definition.add_hook("before_schedule", hook)
        return hook

    def after_schedule(self, hook: Callable[P, T], /) -> Callable[P, T]:
        """Decorator: call `hook` when the job waits for its time."""
        self.definition.add_hook("after_schedule", hook)
        return hook

    def before_delayed_enqueue(self, hook: Callable[P, T], /) -> Callable[P, T]:
        """Decorator: call `hook` when the payload of a job that is to wait is ready."""
        self.definition.add_hook("before_delayed_enqueue", hook)
        return hook

    def before_dequeue(self, hook: Callable[P, T], /) -> Callable[P, T]:
        """Decorator: call `hook` before `dequeue` takes jobs out. `return False` leaves them in
        the queue."""
        self.definition.add_hook("before_dequeue", hook)
        return hook

    def after_dequeue(self, hook: Callable[P, T], /) -> Callable[P, T]:
        """Decorator: call `hook` when `dequeue` has taken jobs out."""
        self.definition.add_hook("after_dequeue", hook)
        return hook

    def before_perform(self, hook: Callable[P, T], /) -> Callable[P, T]:
        """Decorator: call `hook` with the job's arguments before the job. It may raise DontPerform
        to skip it."""
        self.definition.add_hook("before_perform", hook)
        return hook

    def around_perform(
        self, hook: Callable[Concatenate[Rest, P], T], /
    ) -> Callable[Concatenate[Rest, P], T]:
        """Decorator: call `hook` in place of the job, with a function first that performs the job,
        or the other hooks around it."""
        self.definition.add_hook("around_perform", hook)
        return hook

    def after_perform(self, hook: Callable[P, T], /) -> Callable[P, T]:
        """Decorator: call `hook` when the job has returned."""
        self.definition.add_hook("after_perform", hook)
        return hook

    def on_failure(
        self, hook: Callable[Concatenate[Any, P], T], /
    ) -> Callable[Concatenate[Any, P], T]:
        """Decorator: call `hook` with the exception and the job's arguments when the job has failed
        for good."""
        self.definition.add_hook("on_failure", hook)
        return hook

    def on_retry(
        self, hook: Callable[Concatenate[Any, P], T], /
    ) -> Callable[Concatenate[Any, P], T]:
        """Decorator: call `hook` with the exception and the job's arguments after a failure that
        another attempt follows."""
        self.definition.add_hook("on_retry", hook)
        return hook

    def on_give_up(
        self, hook: Callable[Concatenate[Any, P], T], /
    ) -> Callable[Concatenate[Any, P], T]:
        """Decorator: call `hook` as one of `on_failure`, for a job that had retries."""
        self.definition.add_hook("on_give_up", hook)
        return hook
