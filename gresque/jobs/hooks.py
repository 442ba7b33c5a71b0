"""Hooks by Resque's names: a function whose name starts with the hook's name is that hook.

Job hooks are found on the job's class, in the order of their names (Resque::Plugin); those of a
declared function are registered. Process hooks are registered once for the whole worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import isgeneratorfunction
from typing import Any

from gresque.errors import JobDeclarationError
from gresque.forked import call_user_code
from gresque.jobs.result import check_function, check_result, takes_self

JOB_HOOKS = (
    "before_enqueue",
    "after_enqueue",
    "before_schedule",
    "after_schedule",
    "before_delayed_enqueue",
    "before_dequeue",
    "after_dequeue",
    "before_perform",
    "around_perform",
    "after_perform",
    "on_failure",
    "on_retry",
    "on_give_up",
)

PROCESS_HOOKS = ("before_first_fork", "before_fork", "after_fork", "worker_exit")

Hook = Callable[..., Any]


class JobHooks:
    """The hooks of one job, by kind; `hooks.before_perform` is a tuple of functions."""

    __slots__ = (*JOB_HOOKS, "after_failure", "around_execution")

    around_execution: bool
    """True when the job cannot be run by calling its function alone. Worked out once: to look at
    three tuples for each job took as long as to decode it."""

    after_failure: bool
    """True when any hook is called after a job that raised."""

    def __init__(self, owner: type | None = None) -> None:
        for kind in JOB_HOOKS:
            setattr(self, kind, _collect(owner, kind))
        self._sum_up()

    def add(self, what: str, kind: str, hook: Hook) -> None:
        """Register a hook, behind those of its kind. Raises JobDeclarationError for what would do
        nothing; `what` names it."""
        if not callable(hook):
            raise JobDeclarationError(f"{what} cannot be called; give a function")
        _check(what, kind, hook)
        setattr(self, kind, (*getattr(self, kind), hook))
        self._sum_up()

    def _sum_up(self) -> None:
        self.around_execution = bool(
            self.before_perform or self.around_perform or self.after_perform
        )
        self.after_failure = bool(self.on_failure or self.on_retry or self.on_give_up)

    before_enqueue: tuple[Hook, ...]
    after_enqueue: tuple[Hook, ...]
    before_schedule: tuple[Hook, ...]
    after_schedule: tuple[Hook, ...]
    before_delayed_enqueue: tuple[Hook, ...]
    before_dequeue: tuple[Hook, ...]
    after_dequeue: tuple[Hook, ...]
    before_perform: tuple[Hook, ...]
    around_perform: tuple[Hook, ...]
    after_perform: tuple[Hook, ...]
    on_failure: tuple[Hook, ...]
    on_retry: tuple[Hook, ...]
    on_give_up: tuple[Hook, ...]


def _collect(owner: type | None, kind: str) -> tuple[Hook, ...]:
    if owner is None:
        return ()
    named = {name: getattr(owner, name) for name in sorted(dir(owner)) if name.startswith(kind)}
    hooks = {name: hook for name, hook in named.items() if callable(hook)}
    for name, hook in hooks.items():
        _check(f"hook {owner.__qualname__}.{name}", kind, hook)
    return tuple(hooks.values())


def _check(what: str, kind: str, hook: Hook) -> None:
    if kind == "around_perform" and isgeneratorfunction(hook):
        raise JobDeclarationError(
            f"{what} has a yield in it: calling it would run nothing; "
            "it gets the rest of the job as its first argument: call that instead"
        )
    check_function(what, hook)
    if takes_self(hook):
        raise JobDeclarationError(
            f"{what} takes a {hook.__code__.co_varnames[0]}, and hooks are called on the class "
            "with the arguments of the job; leave it out, or make it a @classmethod"
        )


def call_hooks(hooks: Sequence[Hook], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Call hooks one after the other. Raises InvalidJobResult when one returns a coroutine."""
    for hook in hooks:
        call_hook(hook, args, kwargs)


def call_hook(hook: Hook, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    result = call_user_code(hook, *args, **kwargs)
    if result is not None:
        check_result(f"hook {getattr(hook, '__qualname__', hook)}", result)
    return result


class ProcessHooks:
    """The hooks of the worker's processes, in the order in which they were registered.

    - `before_first_fork`, `before_fork`: in the master, the second one before every fork.
    - `after_fork`, `worker_exit`: in the worker process, first and last thing it does.
    """

    def __init__(self) -> None:
        self._hooks: dict[str, list[Hook]] = {kind: [] for kind in PROCESS_HOOKS}

    def add(self, kind: str, hook: Hook) -> Hook:
        if not callable(hook):
            raise JobDeclarationError(f"{kind} hook {hook!r} cannot be called; give a function")
        check_function(f"{kind} hook {getattr(hook, '__qualname__', hook)}", hook)
        self._hooks[kind].append(hook)
        return hook

    def has(self, kind: str) -> bool:
        return bool(self._hooks[kind])

    def run(self, kind: str) -> None:
        call_hooks(self._hooks[kind], (), {})


process_hooks = ProcessHooks()


def before_first_fork(hook: Hook) -> Hook:
    """Decorator: call `hook()` once in the master, before the first worker process."""
    return process_hooks.add("before_first_fork", hook)


def before_fork(hook: Hook) -> Hook:
    """Decorator: call `hook()` in the master before each fork. It must not open connections."""
    return process_hooks.add("before_fork", hook)


def after_fork(hook: Hook) -> Hook:
    """Decorator: call `hook()` in each new worker process before its first job."""
    return process_hooks.add("after_fork", hook)


def worker_exit(hook: Hook) -> Hook:
    """Decorator: call `hook()` in a worker process when its last job has ended."""
    return process_hooks.add("worker_exit", hook)
