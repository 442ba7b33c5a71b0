"""Hooks of jobs and of processes: how they are found, and their order."""

from __future__ import annotations

import functools
from typing import Any

import pytest

import gresque
from gresque.errors import (
    DontPerform,
)
from gresque.jobs.hooks import JOB_HOOKS, PROCESS_HOOKS, JobHooks, ProcessHooks
from tests.support.client_jobs import calls

pytestmark = pytest.mark.usefixtures("own_registry")


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


# Hooks of declared functions


def declared_function(function: Any = None) -> Any:
    def plain(*args: Any, **kwargs: Any) -> str:
        calls.append("ran")
        return "result"

    return gresque.job(queue="q", name="plain")(function or plain)


@pytest.mark.parametrize("kind", JOB_HOOKS)
def test_a_function_takes_hooks_in_the_order_of_their_registration(kind: str) -> None:
    job = declared_function()

    def second(*args: Any) -> None: ...
    def first(*args: Any) -> None: ...

    for hook in (second, first):
        assert getattr(job, kind)(hook) is hook
    found = {each: getattr(job.definition.hooks, each) for each in JOB_HOOKS}
    assert found == {**dict.fromkeys(JOB_HOOKS, ()), kind: (second, first)}


def test_they_are_called_for_jobs_from_then_on() -> None:
    job = declared_function()
    assert job.definition.call is job.definition.function

    @job.before_perform
    def before(user: int) -> None:
        calls.append(("before", user))

    @job.around_perform
    def around(perform: Any, user: int) -> Any:
        calls.append("around")
        return perform() + "!"

    @job.after_perform
    def after(user: int) -> None:
        calls.append("after")

    assert job.definition.call(7) == "result!"
    assert calls == [("before", 7), "around", "ran", "after"]
    assert job(7) == "result", "called by hand it is the function"


def test_those_of_the_enqueue(client: gresque.Client) -> None:
    job = declared_function()

    @job.before_enqueue
    def check(user: int) -> bool:
        return user > 0

    @job.after_enqueue
    def note(user: int) -> None:
        calls.append(user)

    assert client.enqueue(job, 1) is not None
    assert client.enqueue(job, -1) is None
    assert calls == [1]


def test_those_of_a_failure() -> None:
    def fails(user: int) -> None:
        raise ValueError

    job = declared_function(fails)

    @job.on_failure
    def note(error: Exception, user: int) -> None:
        calls.append((type(error), user))

    assert job.definition.hooks.after_failure
    with pytest.raises(ValueError):
        gresque.Client(inline=True).enqueue(job, 7)
    assert calls == [(ValueError, 7)]


@pytest.mark.parametrize("kind", JOB_HOOKS)
def test_a_hook_of_a_function_that_would_run_nothing(kind: str) -> None:
    async def waits() -> None: ...
    def yields(perform: Any) -> Any:
        yield

    for hook, why in ((waits, "is async"), (yields, "has a yield"), (7, "cannot be called")):
        with pytest.raises(gresque.JobDeclarationError, match=f"{kind} hook .* of job plain {why}"):
            getattr(declared_function(), kind)(hook)


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
