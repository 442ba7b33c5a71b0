"""A declared job: the function to call and how it wants to be treated."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from pathlib import Path
from typing import Any

from gresque.errors import DontPerform, JobDeclarationError
from gresque.jobs.hooks import JobHooks

DIRTY_EXITS = ("requeue", "fail")
EXPIRIES = ("fail", "drop")


@dataclass(frozen=True, eq=False)
class JobDefinition:
    """What `@gresque.job` or a subclass of `gresque.Job` declares.

    `name` is the "class" of its payloads. `on_dirty_exit` is `requeue`, `fail`, or None for the
    worker's setting. With `skip_failed_queue` a failure is counted and leaves no entry behind.
    A job that runs for over `timeout_seconds` is ended by JobTimeout, to a tenth of a second. One
    that no worker takes up within `expires_seconds` of being enqueued never runs: with `on_expire`
    `fail` it fails as JobExpired, with `drop` it counts as done.
    """

    name: str
    queue: str | None
    function: Callable[..., Any]
    on_dirty_exit: str | None = None
    skip_failed_queue: bool = False
    timeout_seconds: float | None = None
    expires_seconds: float | None = None
    on_expire: str = "fail"
    hooks: JobHooks = field(default_factory=JobHooks)
    origin: str = ""
    """Where it was declared: the class or the function, by module and name."""

    def __post_init__(self) -> None:
        if not self.origin:
            function = self.function
            name = getattr(function, "__qualname__", repr(function))
            object.__setattr__(self, "origin", f"{function.__module__}.{name}")
        if iscoroutinefunction(self.function) or isasyncgenfunction(self.function):
            raise JobDeclarationError(
                f"job {self.name} is async; gresque runs jobs in greenlets, where plain functions "
                "wait on the network without blocking: drop the async"
            )
        if isgeneratorfunction(self.function):
            raise JobDeclarationError(
                f"job {self.name} has a yield in it: calling it would run nothing; "
                "let it do its work and return"
            )
        if self.on_dirty_exit not in (None, *DIRTY_EXITS):
            raise JobDeclarationError(
                f"job {self.name}: on_dirty_exit={self.on_dirty_exit!r} is unknown; "
                "give 'requeue' or 'fail'"
            )
        if self.timeout_seconds is not None and not self.timeout_seconds > 0:
            raise JobDeclarationError(
                f"job {self.name}: timeout_seconds={self.timeout_seconds!r} is no time to run in; "
                "give a number of seconds above 0, or leave it out"
            )
        if self.expires_seconds is not None and not _is_time(self.expires_seconds):
            raise JobDeclarationError(
                f"job {self.name}: expires_seconds={self.expires_seconds!r} is no time to wait; "
                "give a number of seconds above 0, or leave it out"
            )
        if self.on_expire not in EXPIRIES:
            raise JobDeclarationError(
                f"job {self.name}: on_expire={self.on_expire!r} is unknown; give 'fail' or 'drop'"
            )
        if self.queue is not None and (not isinstance(self.queue, str) or not self.queue):
            raise JobDeclarationError(f"job {self.name}: the queue must be a name, such as 'mail'")

    def perform(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the job with its perform hooks, in Resque's order. `DontPerform` skips it."""
        hooks = self.hooks
        try:
            if not hooks.around_execution:
                return self.function(*args, **kwargs)
            for before in hooks.before_perform:
                before(*args, **kwargs)
            result = self._perform_around(hooks.around_perform, args, kwargs)
            for after in hooks.after_perform:
                after(*args, **kwargs)
        except DontPerform:
            return None
        return result

    def _perform_around(
        self, around: tuple[Callable[..., Any], ...], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Each around hook gets `perform` first, a callable that runs the rest."""
        if not around:
            return self.function(*args, **kwargs)
        rest = around[1:]
        return around[0](lambda: self._perform_around(rest, args, kwargs), *args, **kwargs)

    def fail(self, error: BaseException, /, *args: Any, **kwargs: Any) -> None:
        """Tell the job's `on_failure` hooks."""
        for hook in self.hooks.on_failure:
            hook(error, *args, **kwargs)


def dirty_exit(definition: JobDefinition | None, default: str) -> str:
    """What becomes of a job that is cut short: its own word goes before the worker's."""
    return (definition and definition.on_dirty_exit) or default


def expiry(definition: JobDefinition) -> float | None:
    """When a job that is enqueued now is too late to run: epoch seconds, None for never."""
    if definition.expires_seconds is None:
        return None
    return round(time.time() + definition.expires_seconds, 3)


def _is_time(seconds: object) -> bool:
    return isinstance(seconds, int | float) and math.isfinite(seconds) and seconds > 0


def default_name(module: str, qualname: str) -> str:
    """`module.qualname`. In a script, whose module is `__main__`, the name that importing it gives,
    so that what the script enqueues is what a worker knows."""
    if module == "__main__":
        main = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        path = getattr(main, "__file__", None)
        if spec is not None:
            module = spec.name.removesuffix(".__main__")
        elif path is not None:
            module = Path(path).stem
    return f"{module}.{qualname}"
