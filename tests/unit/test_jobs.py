"""Declaring jobs: names, hooks, and what is refused."""

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
    DontPerform,
    EnqueueError,
    InvalidJobResult,
    JobDeclarationError,
    RedisUnavailable,
    UnknownJob,
)
from gresque.jobs.definition import JobDefinition
from gresque.jobs.hooks import JOB_HOOKS, PROCESS_HOOKS, JobHooks, ProcessHooks, call_hooks
from gresque.jobs.registry import Registry, registry

MODULE = __name__


@pytest.fixture(autouse=True)
def _own_registry() -> Iterator[None]:
    """What a test declares is gone after it."""
    before = dict(registry._definitions)
    yield
    registry._definitions.clear()
    registry._definitions.update(before)


calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


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


# The registry


def definition(function: Any, name: str = "x") -> JobDefinition:
    return JobDefinition(name=name, queue="q", function=function)


def test_two_jobs_of_one_name_are_refused() -> None:
    def one() -> None: ...
    def two() -> None: ...

    own = Registry()
    own.add(definition(one))
    with pytest.raises(JobDeclarationError, match="two jobs are named 'x'") as caught:
        own.add(definition(two))
    assert "one" in str(caught.value)
    assert "two" in str(caught.value)
    assert own.get("x").function is one
    assert len(own) == 1


def test_a_reloaded_module_replaces_its_jobs() -> None:
    def make() -> Any:
        def job() -> None: ...

        return job

    own, first, second = Registry(), definition(make()), definition(make())
    own.add(first)
    own.add(second)
    assert own.get("x") is second
    assert list(own) == [second]


def test_unknown_jobs_are_explained() -> None:
    own = Registry()
    assert own.find("x") is None
    with pytest.raises(UnknownJob, match=r"no job named 'x' is declared here; require its module"):
        own.get("x")
    own.add(definition(module_level, "app.tasks.send"))
    assert own.explain_unknown("tasks.send") == (
        "no job named 'tasks.send' is declared here (did you mean 'app.tasks.send'?); "
        "require its module with -r, or check the name"
    )
    assert "'a\\nb'" in own.explain_unknown("a\nb"), "a name from outside stays on one line"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("app.mail.sned", " (did you mean 'app.mail.send' or 'app.mail.send_all'?)"),
        ("mail.send", " (did you mean 'app.mail.send' or 'app.sms.send'?)"),
        ("app.mail.send_al", " (did you mean 'app.mail.send_all' or 'app.mail.send'?)"),
        ("Archive", ""),
        ("app.mail.send" * 100, ""),
    ],
    ids=range(5),
)
def test_the_nearest_names_are_suggested(name: str, nearest: str) -> None:
    own = Registry()
    for known in ("app.mail.send", "app.sms.send", "app.mail.send_all", "app.reports.daily"):
        own.add(definition(module_level, known))
    assert own.suggest(name) == nearest
    own.add(definition(module_level, f"{name}s"[:150]))
    assert f"{name}s"[:150] in own.suggest(name) or len(name) > 200, "a new job counts at once"


def test_suggestions_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gresque.jobs.registry.SUGGESTIONS_KEPT", 3)
    own = Registry()
    for number in range(10):
        own.suggest(str(number))
    assert len(own._suggestions) <= 3


# Hooks


def hooked(*names: str) -> type:
    def maker(name: str) -> Any:
        return staticmethod(lambda *args, **kwargs: calls.append((name, args, kwargs)))

    return type("Hooked", (), {name: maker(name) for name in names})


@pytest.mark.parametrize("kind", JOB_HOOKS)
def test_hooks_are_found_by_their_names_and_ordered_by_them(kind: str) -> None:
    others = [name for other in JOB_HOOKS if other != kind for name in (other, f"{other}_x")]
    owner = hooked(f"{kind}_b", f"{kind}", f"{kind}_a", f"{kind}_C", f"not_{kind}", *others)
    for hook in getattr(JobHooks(owner), kind):
        hook(1, a=2)
    assert [name for name, *_ in calls] == [kind, f"{kind}_C", f"{kind}_a", f"{kind}_b"]
    assert {(args, *kwargs) for _, args, kwargs in calls} == {((1,), "a")}


def test_no_owner_no_hooks() -> None:
    hooks = JobHooks()
    assert [getattr(hooks, kind) for kind in JOB_HOOKS] == [()] * len(JOB_HOOKS)


class LogHooks:
    """A mixin that is no Job."""

    def before_perform_log(*args: Any, **kwargs: Any) -> None:
        calls.append("before_log")

    def after_perform_log(*args: Any, **kwargs: Any) -> None:
        calls.append("after_log")


class TimeHooks(gresque.Job):
    """A mixin that is a Job."""

    def around_perform_time(perform: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append("around_time")
        return perform()


class Mixed(LogHooks, TimeHooks):
    queue = "q"

    def before_perform_own(x: int) -> None:
        calls.append(f"before_own {x}")

    def perform(x: int) -> int:
        calls.append("perform")
        return 2 * x


class Heir(Mixed):
    def before_perform_log(x: int) -> None:
        calls.append("heir_log")


def test_hooks_come_from_mixins_too() -> None:
    assert Mixed.definition.perform(2) == 4
    assert calls == ["before_log", "before_own 2", "around_time", "perform", "after_log"]


def test_a_subclass_overrides_one_hook() -> None:
    assert Heir.definition.perform(3) == 6
    assert calls == ["heir_log", "before_own 3", "around_time", "perform", "after_log"]


class Nested(gresque.Job):
    queue = "q"
    raises: str = ""

    def note(place: str) -> None:
        calls.append(place)
        if Nested.raises == place:
            raise DontPerform(place)

    note = staticmethod(note)  # type: ignore[assignment]

    def before_perform_1(x: int) -> None:
        Nested.note("before 1")

    def before_perform_2(x: int) -> None:
        Nested.note("before 2")

    def around_perform_1(perform: Any, x: int) -> Any:
        Nested.note("in 1")
        result = perform()
        Nested.note("out 1")
        return [*result, "1"]

    def around_perform_2(perform: Any, x: int) -> Any:
        Nested.note("in 2")
        result = perform()
        Nested.note("out 2")
        return [*result, "2"]

    def perform(x: int) -> list[Any]:
        calls.append("perform")
        return [x]

    def after_perform(x: int) -> None:
        calls.append("after")


ALL = ["before 1", "before 2", "in 1", "in 2", "perform", "out 2", "out 1", "after"]


def test_around_hooks_nest_and_pass_the_return_value_out() -> None:
    assert Nested.definition.perform(7) == [7, "2", "1"]
    assert calls == ALL


@pytest.mark.parametrize("place", ["before 1", "before 2", "in 1", "in 2", "out 2", "out 1"])
def test_dont_perform_skips_the_rest(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Nested, "raises", place)
    assert Nested.definition.perform(7) is None
    assert calls == ALL[: ALL.index(place) + 1]


def test_an_around_hook_that_does_not_perform() -> None:
    class Skips(gresque.Job):
        name = "Skips"

        def around_perform(perform: Any) -> str:  # type: ignore[misc]
            return "skipped"

        def perform() -> None:  # type: ignore[misc]
            calls.append("perform")

        def after_perform() -> None:  # type: ignore[misc]
            calls.append("after")

    assert Skips.definition.perform() == "skipped"
    assert calls == ["after"], "as Resque does"


def test_an_around_hook_may_perform_twice_and_swallow_errors() -> None:
    class Retries(gresque.Job):
        name = "Retries"

        def around_perform(perform: Any) -> Any:  # type: ignore[misc]
            try:
                return perform()
            except ValueError:
                return perform()

        def perform() -> int:  # type: ignore[misc]
            calls.append("perform")
            if len(calls) == 1:
                raise ValueError
            return len(calls)

    assert Retries.definition.perform() == 2


@pytest.mark.parametrize("kind", ["before_perform", "around_perform", "after_perform"])
def test_an_error_in_a_hook_is_the_jobs_error(kind: str) -> None:
    def boom(*args: Any) -> None:
        raise ZeroDivisionError(kind)

    bad = type("Bad", (gresque.Job,), {kind: boom, "perform": lambda: None})
    with pytest.raises(ZeroDivisionError, match=kind):
        bad.definition.perform()


def test_on_failure_hooks_get_the_error_and_the_arguments() -> None:
    class Fails(gresque.Job):
        name = "Fails"

        def perform(x: int, y: int = 0) -> None: ...

        def on_failure_b(error: Exception, x: int, y: int = 0) -> None:
            calls.append(("b", error, x, y))

        def on_failure_a(error: Exception, *args: Any, **kwargs: Any) -> None:
            calls.append(("a", error, args, kwargs))

    error = ValueError()
    Fails.definition.fail(error, 1, y=2)
    assert calls == [("a", error, (1,), {"y": 2}), ("b", error, 1, 2)]


# Process hooks


def test_process_hooks_run_in_the_order_of_registration() -> None:
    hooks = ProcessHooks()
    for kind in PROCESS_HOOKS:
        for number in (2, 1):
            hooks.add(kind, functools.partial(calls.append, (kind, number)))
    for kind in PROCESS_HOOKS:
        hooks.run(kind)
        assert calls[-2:] == [(kind, 2), (kind, 1)]
    assert len(calls) == 2 * len(PROCESS_HOOKS)


def test_their_decorators_give_the_function_back() -> None:
    from gresque.jobs.hooks import process_hooks

    def hook() -> None: ...

    for kind in PROCESS_HOOKS:
        registered = process_hooks._hooks[kind]
        before = list(registered)
        assert getattr(gresque, kind)(hook) is hook
        assert registered == [*before, hook]
        registered[:] = before


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "30"])
def test_a_timeout_must_leave_time_to_run(seconds: Any) -> None:
    with pytest.raises(JobDeclarationError, match="timeout_seconds"):
        gresque.job(queue="q", name=f"Timed{seconds}", timeout_seconds=seconds)(lambda: None)
