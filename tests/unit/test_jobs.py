"""Declaring jobs: names, options, and what is refused."""

from __future__ import annotations

import asyncio
import copy
import functools
import pickle
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

import gresque
from gresque.errors import (
    EnqueueError,
    InvalidJobResult,
    JobDeclarationError,
    RedisUnavailable,
)
from gresque.jobs.definition import JobDefinition
from gresque.jobs.hooks import JOB_HOOKS, PROCESS_HOOKS, JobHooks, ProcessHooks, call_hooks
from gresque.jobs.registry import registry
from tests.support.client_jobs import calls

MODULE = __name__

pytestmark = pytest.mark.usefixtures("own_registry")


# @job


def test_a_declared_function_is_still_a_function() -> None:
    @gresque.job(queue="mail", name="send")
    def send(user_id: int, template: str = "welcome") -> str:
        """Send a mail."""
        return f"{user_id} {template}"

    assert send(42) == "42 welcome"
    assert send(1, template="bye") == "1 bye"
    assert send.__doc__ == "Send a mail."
    assert send.__name__ == "send"
    assert send.__wrapped__(2) == "2 welcome"  # type: ignore[attr-defined]


def module_level() -> None: ...


@gresque.job("q")
def picklable() -> None: ...


def test_its_definition() -> None:
    send = gresque.job("mail", on_dirty_exit="fail", skip_failed_queue=True)(module_level)
    definition = send.definition
    assert definition.name == f"{MODULE}.module_level"
    assert registry.get(definition.name) is definition
    assert definition.queue == "mail"
    assert definition.on_dirty_exit == "fail"
    assert definition.skip_failed_queue
    assert not definition.hooks.around_execution
    assert repr(send) == f"<job {definition.name}>"


def test_a_name_of_its_own() -> None:
    @gresque.job("mail", name="Mail::Send")
    def send() -> None: ...

    assert registry.get("Mail::Send") is send.definition
    assert registry.find(f"{MODULE}.send") is None


def test_a_function_in_a_job_is_called_with_its_arguments() -> None:
    @gresque.job("q", name="x")
    def add(*args: int, **kwargs: int) -> int:
        return sum(args) + sum(kwargs.values())

    assert add.definition.perform(1, 2, three=3) == 6


def test_callables_other_than_functions() -> None:
    def greet(greeting: str, name: str) -> str:
        return f"{greeting} {name}"

    class Greeter:
        def greet(self, name: str) -> str:
            return f"hi {name}"

    bound = gresque.job("q", name="bound")(Greeter().greet)
    assert bound.definition.perform("you") == "hi you"


@pytest.mark.parametrize("queue", ["", 5, b"mail", ["mail"], True, "\ud800"])
def test_a_queue_that_is_no_name(queue: Any) -> None:
    with pytest.raises(JobDeclarationError, match="the queue must be a name"):
        gresque.job(queue, name="x")(lambda: None)
    with pytest.raises(JobDeclarationError, match="the queue must be a name"):
        type("Bad", (gresque.Job,), {"queue": queue, "name": "x", "perform": lambda: None})


def test_the_decorator_without_parentheses() -> None:
    def send() -> None: ...

    with pytest.raises(JobDeclarationError, match=r"write @gresque\.job\(queue="):
        gresque.job(send)  # type: ignore[arg-type]


def test_no_queue_is_for_enqueue_to() -> None:
    @gresque.job(name="x")
    def send() -> None: ...

    assert send.definition.queue is None
    with pytest.raises(EnqueueError, match="has no queue"):
        send.enqueue()


@pytest.mark.parametrize("wish", ["Requeue", "drop", "", 1, True])
def test_on_dirty_exit_is_checked(wish: Any) -> None:
    with pytest.raises(JobDeclarationError, match=r"on_dirty_exit=.* is unknown"):
        gresque.job("q", on_dirty_exit=wish, name="x")(lambda: None)
    with pytest.raises(JobDeclarationError, match=r"on_dirty_exit=.* is unknown"):
        type("Bad", (gresque.Job,), {"on_dirty_exit": wish, "name": "x", "perform": lambda: None})


@pytest.mark.parametrize("wish", ["no", None, 1])
def test_skip_failed_queue_is_checked(wish: Any) -> None:
    with pytest.raises(JobDeclarationError, match=r"skip_failed_queue=.*; give True or False"):
        gresque.job("q", skip_failed_queue=wish, name="x")(lambda: None)


@pytest.mark.parametrize("wish", [None, "requeue", "fail"])
def test_on_dirty_exit_is_kept(wish: Any) -> None:
    assert (
        gresque.job("q", on_dirty_exit=wish, name="x")(lambda: None).definition.on_dirty_exit
        == wish
    )


async def wait() -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("function", [wait, functools.partial(wait)], ids=["plain", "partial"])
def test_async_functions_are_refused(function: Any) -> None:
    with pytest.raises(JobDeclarationError, match=r"is async.*drop the async"):
        JobDefinition(name="x", queue="q", function=function)
    assert registry.find("x") is None


def test_async_perform_is_refused_and_not_registered() -> None:
    with pytest.raises(JobDeclarationError, match="is async"):

        class Bad(gresque.Job):
            name = "AsyncBad"

            async def perform() -> None: ...  # type: ignore[misc]

    assert registry.find("AsyncBad") is None


class Perform:
    @staticmethod
    def perform(x: int) -> None: ...


class Owner:
    @classmethod
    def bound(cls) -> None: ...

    def method(self) -> None: ...


NO_JOBS: list[tuple[Any, str]] = [
    (Perform, r"is a class; derive it from gresque\.Job .*class Perform\(gresque\.Job\)"),
    (type("Send", (), {}), "is a class; derive it"),
    (vars(Owner)["bound"], "is a classmethod, and a worker has no class"),
    (Owner.method, "is a method, and a worker has no object"),
    (42, "42 cannot be called"),
    ("os.system", "cannot be called"),
]


@pytest.mark.parametrize(("function", "told"), NO_JOBS, ids=range(len(NO_JOBS)))
def test_what_a_worker_cannot_call(function: Any, told: str) -> None:
    with pytest.raises(JobDeclarationError, match=told) as caught:
        gresque.job("q", name="x")(function)
    assert "\n" not in str(caught.value)
    assert registry.find("x") is None


def test_perform_with_self() -> None:
    with pytest.raises(JobDeclarationError, match="leave out its self"):
        type("Bad", (gresque.Job,), {"name": "x", "perform": Owner.method})


@pytest.mark.parametrize("kind", JOB_HOOKS)
def test_hooks_with_self_are_refused(kind: str) -> None:
    with pytest.raises(JobDeclarationError, match=rf"hook Hooks\.{kind}_x takes a self, and hooks"):
        JobHooks(type("Hooks", (), {f"{kind}_x": staticmethod(Owner.method)}))
    hook = classmethod(lambda cls, *args: None)
    assert getattr(JobHooks(type("Hooks", (), {f"{kind}_x": hook})), kind)


@pytest.mark.parametrize("kind", JOB_HOOKS)
def test_async_hooks_are_refused(kind: str) -> None:
    for hook in (wait, functools.partial(wait)):
        owner = type("Hooks", (), {f"{kind}_x": staticmethod(hook)})
        with pytest.raises(JobDeclarationError, match=rf"hook Hooks\.{kind}_x is async"):
            JobHooks(owner)


def test_a_hook_with_a_yield_in_rubys_way() -> None:
    def around(*args: Any) -> Iterator[None]:
        yield

    with pytest.raises(JobDeclarationError, match="gets the rest of the job as its first argument"):
        JobHooks(type("Hooks", (), {"around_perform_x": staticmethod(around)}))


@pytest.mark.parametrize("kind", PROCESS_HOOKS)
def test_process_hooks_that_would_run_nothing(kind: str) -> None:
    own = ProcessHooks()
    with pytest.raises(JobDeclarationError, match=f"{kind} hook wait is async"):
        own.add(kind, wait)
    with pytest.raises(JobDeclarationError, match="cannot be called"):
        own.add(kind, 5)  # type: ignore[arg-type]
    own.add(kind, lambda: wait())
    with pytest.raises(InvalidJobResult, match="returned a coroutine"):
        own.run(kind)


@pytest.mark.parametrize("kind", ["perform", *JOB_HOOKS])
def test_what_returns_a_coroutine_fails(kind: str) -> None:
    """Where it cannot be seen beforehand."""
    body: dict[str, Any] = {"name": "x", "perform": lambda *args: None}
    body[kind] = lambda *args: wait()
    declared: Any = type("Lazy", (gresque.Job,), body)
    client = gresque.Client("redis://127.0.0.1:1/0", inline=True)
    with pytest.raises(InvalidJobResult, match="returned a coroutine, which is never awaited"):
        if kind.endswith("dequeue"):
            call_hooks(getattr(declared.definition.hooks, kind), (), {})
        elif kind.startswith("on_"):
            call_hooks(getattr(declared.definition.hooks, kind), (ValueError(),), {})
        elif "schedule" in kind or "delayed" in kind:
            client.options(declared, queue="q", in_=5).enqueue()
        else:
            client.enqueue_to("q", declared)


def test_a_job_of_a_prompt_is_not_enqueued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    namespace: dict[str, Any] = {"__name__": "__main__", "gresque": gresque}
    exec("@gresque.job('q')\ndef f(): return 1", namespace)
    exec("@gresque.job('q')\ndef f(): return 2", namespace)
    exec("@gresque.job('q', name='app.g')\ndef g(): pass", namespace)
    declared = namespace["f"]
    client = gresque.Client("redis://127.0.0.1:1/0", retry_seconds=0)
    with pytest.raises(EnqueueError, match=r"no worker can import it .*; move it to a module"):
        client.enqueue(declared)
    with pytest.raises(EnqueueError, match="no worker can import it"):
        client.enqueue_many(declared, [()])
    assert gresque.Client("redis://127.0.0.1:1/0", inline=True).enqueue(declared)
    with pytest.raises(RedisUnavailable):
        client.enqueue(namespace["g"])


def test_a_declared_function_is_pickled_as_functions_are() -> None:
    assert pickle.loads(pickle.dumps(picklable)) is picklable
    assert copy.deepcopy([picklable])[0] is picklable is copy.copy(picklable)
    hidden = gresque.job("q", name="hidden")(picklable.__wrapped__)  # type: ignore[attr-defined]
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(hidden)


@pytest.mark.parametrize("name", ["\ud800", 5, b"x"])
def test_a_name_that_is_none(name: Any) -> None:
    with pytest.raises(JobDeclarationError, match="is not the name of a job"):
        gresque.job("q", name=name)(lambda: None)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "30"])
def test_a_timeout_must_leave_time_to_run(seconds: Any) -> None:
    with pytest.raises(JobDeclarationError, match="timeout_seconds"):
        gresque.job(queue="q", name=f"Timed{seconds}", timeout_seconds=seconds)(lambda: None)


# class Job


class Archive(gresque.Job):
    queue = "file_serve"

    def perform(repo_id: int, branch: str = "master") -> Any:
        calls.append(("perform", repo_id, branch))
        return "archived"


def test_perform_takes_no_self() -> None:
    assert Archive.perform(1, branch="x") == "archived"
    assert Archive.definition.perform(2) == "archived"
    assert Archive().perform(3) == "archived"
    assert calls == [("perform", 1, "x"), ("perform", 2, "master"), ("perform", 3, "master")]


def test_the_definition_of_a_class() -> None:
    assert Archive.definition.name == f"{MODULE}.Archive"
    assert Archive.definition.queue == "file_serve"
    assert registry.get(f"{MODULE}.Archive") is Archive.definition


def test_perform_as_a_static_or_class_method() -> None:
    class Static(gresque.Job):
        name = "Static"

        @staticmethod
        def perform(x: int) -> int:
            return x

    class Bound(gresque.Job):
        name = "Bound"
        factor = 3

        @classmethod
        def perform(cls, x: int) -> int:
            return cls.factor * x

    class Heir(Bound):
        name = "Heir"
        factor = 5

    assert Static.definition.perform(2) == 2
    assert Bound.definition.perform(2) == 6
    assert Heir.definition.perform(2) == 10


def test_a_name_is_not_inherited_and_the_rest_is() -> None:
    class Base(gresque.Job):
        name = "Base"
        queue = "base"
        on_dirty_exit = "fail"
        skip_failed_queue = True

        def perform() -> str:  # type: ignore[misc]
            return "base"

    Heir = type("Heir", (Base,), {"__qualname__": "OtherHeir", "__module__": MODULE})
    assert Base.definition.name == "Base"
    assert Heir.definition.name == f"{MODULE}.OtherHeir"
    assert Heir.definition.queue == "base"
    assert Heir.definition.on_dirty_exit == "fail"
    assert Heir.definition.skip_failed_queue
    assert Heir.definition.perform() == "base"


def test_a_class_without_perform_is_a_mixin() -> None:
    class Mixin(gresque.Job):
        name = "Mixin"

    assert registry.find("Mixin") is None
    assert not hasattr(Mixin, "definition")
    with pytest.raises(EnqueueError, match="is not a job"):
        Mixin.enqueue()
