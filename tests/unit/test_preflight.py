"""What is likely to go wrong in a worker, by its settings and jobs alone."""

from __future__ import annotations

import resource
import sys
import types
from datetime import date

import pytest

from gresque.jobs.definition import JobDefinition
from gresque.schedule.entry import Entry
from gresque.settings import Settings
from gresque.worker.preflight import (
    AT_START,
    CHECKS,
    Loaded,
    declared,
    schedule_warnings,
    warnings,
)


def send() -> None: ...


def loaded(queues: str, *names: str, **flags: str) -> Loaded:
    settings = Settings.load({"queues": queues, **flags}, {})
    return Loaded(settings, [JobDefinition(f"send to {name}", name, send) for name in names])


@pytest.mark.parametrize(
    ("queues", "names", "said", "unserved"),
    [
        ("mail", [], "0 jobs declared", 0),
        ("mail", ["mail"], "1 job declared", 0),
        ("m*", ["mail", None], "2 jobs declared", 0),
        (
            "mail", ["mail", "a,b", "other"],
            "3 jobs declared, 2 of them for queues that it does not serve (see gresque check)", 2,
        ),
    ],
    ids=range(4),
)  # fmt: skip
def test_jobs_that_it_does_not_serve(
    queues: str, names: list[str], said: str, unserved: int
) -> None:
    found = loaded(queues, *names)
    assert declared(found) == said
    assert len(warnings(found)) == unserved
    assert warnings(found, AT_START) == []


def test_annotations_that_cannot_be_used() -> None:
    def hidden(user: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
    def typed(when: date) -> None: ...

    jobs = [JobDefinition(each.__name__, "mail", each) for each in (hidden, typed)]
    found = loaded("mail")._replace(jobs=jobs)
    assert warnings(found, AT_START) == [
        "job hidden: the annotation of 'user', 'Nowhere', cannot be used: name 'Nowhere' is not "
        "defined; import what it names outside of `if TYPE_CHECKING:`. Until then its jobs fail"
    ]


def test_the_warning_says_how_the_queue_is_written() -> None:
    assert warnings(loaded("mail", "a,b")) == [
        "job send to a,b goes to queue 'a,b', which mail does not serve; "
        "with -q it is written a\\,b"
    ]


def test_a_library_that_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MySQLdb", types.ModuleType("MySQLdb"))
    for checks in (CHECKS, AT_START):
        (warning,) = warnings(loaded("mail", "mail"), checks)
        assert warning.startswith("MySQLdb waits in C and so blocks every job of its process: ")


def test_too_few_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, 4096))
    assert warnings(loaded("mail", "mail", thread_count="924")) == []
    (warning,) = warnings(loaded("mail", "mail", thread_count="925"))
    assert warning.endswith("over the limit of 1,024 open files; raise it: ulimit -n 65536")
    monkeypatch.setattr(resource, "getrlimit", lambda what: (resource.RLIM_INFINITY,) * 2)
    assert warnings(loaded("mail", "mail", thread_count="100000")) == []


def test_schedule_entries() -> None:
    entries = [
        Entry(name="a", cron="30 2 * * *", tz="Europe/Berlin", job="gone", queue="q"),
        Entry(name="b", cron="*/20 2 * * *", tz="Europe/Berlin", job="gone", queue="q"),
        Entry(name="c", every=60.0, job="gone", queue="q"),
    ]
    fixed, left_out = schedule_warnings(entries, jobs_are_known=False)
    assert fixed.startswith("schedule entry a (30 2 * * * Europe/Berlin): on ")
    assert "the clocks pass over 02:30, and it runs at 03:00 on that day" in fixed
    assert "the clocks pass over 02:00, and it does not run on that day" in left_out
    named = list(schedule_warnings(entries[2:], jobs_are_known=True))
    assert len(named) == 1 and named[0].startswith("schedule entry c: no job named 'gone'")
