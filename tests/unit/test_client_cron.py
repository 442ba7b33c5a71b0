"""Declaring schedules in code."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gresque
from gresque.jobs.registry import registry
from gresque.schedule.declared import declared
from gresque.schedule.entry import Entry, lock_digest


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_definitions", {})
    monkeypatch.setattr(registry, "find", registry._definitions.get)
    declared.clear()
    yield
    declared.clear()


def test_above_the_job() -> None:
    @gresque.cron("30 2 * * *", tz="Europe/Berlin", args=(1,), description="at night")
    @gresque.job(queue="q", name="nightly", on_dirty_exit="fail", expires_seconds=60)
    def nightly(number: int) -> None: ...

    assert isinstance(nightly, gresque.JobFunction)
    assert list(declared) == [
        Entry(
            name="nightly", cron="30 2 * * *", tz="Europe/Berlin", job="nightly", queue="q",
            args=[1], description="at night", source="code", envelope={"dirty_exit": "fail"},
            expires_seconds=60,
        )
    ]  # fmt: skip


def test_below_the_job() -> None:
    @gresque.job(queue="q", name="nightly")
    @gresque.cron("30 2 * * *", name="first")
    @gresque.cron("30 3 * * *", name="second", args={"number": 2})
    def nightly(number: int = 1) -> None: ...

    assert nightly() is None
    found = {entry.name: (entry.cron, entry.args) for entry in declared}
    assert found == {
        "first": ("30 2 * * *", []),
        "second": ("30 3 * * *", [{"number": 2, "_kwargs": True}]),
    }
    declared.check()


def test_a_decorator_between_the_two() -> None:
    def logged(function: Callable[[], None]) -> Callable[[], None]:
        @functools.wraps(function)
        def wrapper() -> None:
            function()

        return wrapper

    @gresque.job(queue="q", name="nightly")
    @logged
    @gresque.cron("30 2 * * *")
    def nightly() -> None: ...

    assert [entry.name for entry in declared] == ["nightly"]
    declared.check()


def test_a_job_class_and_an_interval() -> None:
    @gresque.cron("0 9 * * * Europe/Berlin")
    class Report(gresque.Job):
        queue = "r"
        name = "Report"

        def perform() -> None: ...  # type: ignore[misc]

    assert gresque.every("15m", name="often", jitter_seconds=10)(Report) is Report
    first, second = declared
    assert (first.name, first.job, first.queue, first.tz) == (
        "Report", "Report", "r", "Europe/Berlin",
    )  # fmt: skip
    assert (second.name, second.every, second.jitter_seconds) == ("often", 900, 10)


def test_a_schedule_without_a_job_is_named() -> None:
    @gresque.cron("30 2 * * *")
    def no_job() -> None: ...

    with pytest.raises(gresque.ScheduleError, match=r"no_job has a schedule and is no job; write"):
        declared.check()


def test_wrong_schedules() -> None:
    @gresque.job(queue="q", name="a")
    def a(number: int) -> None: ...

    @gresque.job(queue="q", name="b")
    def b() -> None: ...

    @gresque.job(name="c")
    def c() -> None: ...

    wrong = [
        (lambda: gresque.cron("61 * * * *")(b), "its minute '61' is wrong"),
        (lambda: gresque.cron("* * * * *", tz="Berln")(b), "the zone 'Berln' is unknown"),
        (lambda: gresque.every(0)(b), "every 0 is no interval"),
        (lambda: gresque.cron("* * * * *")(5), "5 has a schedule and is no job"),
        (lambda: gresque.cron("* * * * *", catch_up="x")(b), "job b: catch_up='x' is unknown"),
        (lambda: gresque.cron("* * * * *")(a), "the schedule of job a: "),
        (lambda: gresque.cron("* * * * *")(c), "job c has no queue; declare one"),
        (lambda: gresque.cron("* * * * *", args=5)(a), "args=5 are no arguments"),
    ]
    for declare, message in wrong:
        with pytest.raises(gresque.ScheduleError) as raised:
            declare()
        assert message in str(raised.value)
    assert not list(declared)


def test_overlap() -> None:
    @gresque.every(60, overlap="skip")
    @gresque.job(queue="q", name="a")
    def a() -> None: ...

    (entry,) = declared
    assert (entry.overlap, entry.lock) == (
        "skip", (lock_digest("a"), "both", "schedule entry a"),
    )  # fmt: skip


@pytest.mark.parametrize("options", [{"unique": "running"}, {"throttle": 60}, {}])
def test_the_lock_of_a_job_that_is_unique_itself(options: Any) -> None:
    @gresque.every(60, args=[1])
    @gresque.job(queue="q", name="a", **options)
    def a(number: int) -> None: ...

    (entry,) = declared
    assert (entry.lock and entry.lock[1]) == options.get("unique")


def test_two_of_one_name() -> None:
    @gresque.job(queue="q", name="a")
    def a() -> None: ...

    @gresque.job(queue="q", name="b")
    def b() -> None: ...

    gresque.every(60)(a)
    with pytest.raises(gresque.ScheduleError, match="job a has two schedules named 'a'"):
        gresque.every(90)(a)
    with pytest.raises(gresque.ScheduleError, match="of job a and of job b; give one"):
        gresque.every(90, name="a")(b)


def test_a_reloaded_module_replaces_its_entries() -> None:
    for seconds in (60, 90):

        @gresque.every(seconds)
        @gresque.job(queue="q", name="a")
        def a() -> None: ...

    assert [entry.every for entry in declared] == [90]


def test_the_entries_of_a_file_beside_those_of_the_code() -> None:
    @gresque.every(60)
    @gresque.job(queue="q", name="a")
    def a() -> None: ...

    file = [Entry(name="f", every=5.0, job="x", queue="q", source="file")]
    before = declared.digest()
    declared.replace_file(file)
    assert [entry.name for entry in declared] == ["a", "f"]
    assert declared.digest() != before
    declared.replace_file([])
    assert declared.digest() == before
    with pytest.raises(gresque.ScheduleError, match="declared in the code of job a, too"):
        declared.replace_file([Entry(name="a", every=5.0, job="x", queue="q", source="file")])
