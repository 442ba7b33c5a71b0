from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gresque.errors import ScheduleError
from gresque.schedule.entry import Entry
from gresque.schedule.file import ScheduleFile, parse, read_file

FILE = """
nightly_report:
  cron: "30 2 * * * Europe/Berlin"
  class: reports.nightly
  queue: reports
  args: [1, "two"]
  description: Everything of the day
Cleanup:
  every: 15m
  queue: low
  args:
    days: 3
secs:
  cron: "*/5 * * * * *"
  class: declared.Job
  args: one
  catch_up: all
  max_late_seconds: null
elsewhere:
  cron: "* * * * *"
  queue: q
  rails_env: staging, production
with_options:
  every: ["30s", {first_in: 5s}]
  queue: q
"""


def read(text: str, env: str = "") -> ScheduleFile:
    return parse(text, "cron.yml", {"declared.Job": "theirs"}.get, env, "app")


def test_a_file_of_resque_scheduler() -> None:
    found = read(FILE, "production")
    assert found.entries == [
        Entry(
            name="nightly_report", cron="30 2 * * *", tz="Europe/Berlin", job="reports.nightly",
            queue="reports", args=[1, "two"], description="Everything of the day", source="file",
            app="app",
        ),
        Entry(
            name="Cleanup", every=900.0, job="Cleanup", queue="low", args=[{"days": 3}],
            source="file", app="app",
        ),
        Entry(
            name="secs", cron="*/5 * * * * *", job="declared.Job", queue="theirs", args=["one"],
            catch_up="all", max_late_seconds=None, source="file", app="app",
        ),
        Entry(name="elsewhere", cron="* * * * *", job="elsewhere", queue="q", source="file",
              app="app"),
        Entry(name="with_options", every=30.0, job="with_options", queue="q", source="file",
              app="app"),
    ]  # fmt: skip
    (note,) = found.notes
    assert note.startswith("cron.yml, line 23: entry 'with_options': options of its interval")


def test_an_entry_of_another_environment_is_left_out() -> None:
    found = read(FILE, "test")
    assert "elsewhere" not in [entry.name for entry in found.entries]
    assert found.notes[0] == (
        "cron.yml, line 19: entry 'elsewhere' is for the environment staging, production, and this "
        "is test (SCHEDULE_ENV)"
    )


def test_overlap() -> None:
    (entry,) = read("a:\n  every: 5m\n  queue: q\n  overlap: skip").entries
    assert entry.overlap == "skip"


def test_an_empty_file() -> None:
    assert read("# nothing\n") == ([], [])


WRONG = {
    "a:\n  cron: * * * * *\n  queue: q": "line 2: ",
    "a:\n  cron: [": "line 2: ",
    "- a\n- b": "line 1: it is no mapping",
    "a: 5": "line 1: entry 'a': it is no mapping",
    "\na:\n  queue: q": "line 2: entry 'a': give either cron or every",
    "a:\n  cron: '61 * * * *'\n  queue: q": "line 1: entry 'a': the cron line",
    "a:\n  cron: '0 2 * * *'": "line 1: entry 'a': it has no queue, and job a is not declared here",
    "a:\n  every: soon\n  queue: q": "line 1: entry 'a': every 'soon' is no interval",
    "a:\n  every: 5m\n  queue: q\n\n  interval: 5": "line 5: the field 'interval' is unknown",
    "a:\n  every: 5m\n  queue: q\n  overlap: no": "line 1: entry 'a': overlap: False is wrong",
    "a:\n  every: 5m\n  queue: q\n  overlap: never": "line 1: entry 'a': overlap='never' is",
    "a:\n  every: 5m\n  queue: q\na:\n  every: 6m": "line 4: entry 'a' stands in line 1 already",
    "a:\n  every: 5m\n  queue: q\n  custom_job_class: B": "line 1: entry 'a': custom_job_class",
    "a:\n  every: 5m\n  queue: q\n  enabled: maybe": "line 1: entry 'a': enabled: 'maybe' is wrong",
    "a:\n  every: 5m\n  every: 6m\n  queue: q": "line 3: the field 'every' stands in line 2",
    "? [a, b]\n: {every: 5m, queue: q}": "line 1: a sequence is no name",
    "a:\n  cron: '0 2 * * *'\n  tz: 5\n  queue: q": "line 1: entry 'a': tz=5 is no zone",
    "a:\n  every: 5m\n  tz: Europe/Berlin\n  queue: q": "line 1: entry 'a': an interval has no",
    "a:\n  every: 5m\n  queue: q\n  args: [2026-02-31]": "line 4: a value cannot be read: day",
    "a:\n  every: 1M\n  queue: q": "line 1: entry 'a': every '1M' is no interval: in Ruby M is a",
}


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_wrong_files_name_the_line(number: int) -> None:
    text, message = list(WRONG.items())[number]
    with pytest.raises(ScheduleError) as raised:
        read(text)
    assert str(raised.value).startswith(f"cron.yml, {message}")
    assert "\n" not in str(raised.value)


def test_merged_settings() -> None:
    (_, b), _ = read("a: &a\n  every: 1h\n  queue: q\nb:\n  <<: *a\n  queue: r\n")
    assert (b.name, b.every, b.queue, b.job) == ("b", 3600, "r", "b")


@pytest.mark.parametrize("name", ["on", "010", "~", "1.50", "<x>"])
def test_a_name_is_what_is_written(name: str) -> None:
    assert [entry.name for entry in read(f"{name}: {{every: 1h, queue: q}}").entries] == [name]


BOMB = "a:\n  every: 1h\n  queue: q\n  args:\n  - &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"  - &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]\n" for number in range(1, 12)
)
HOSTILE = {
    "aliases": (BOMB, "more than 1,000,000 values"),
    "deep": (f"a: {'[' * 3000}{']' * 3000}", "nested too deeply"),
    "control character": ("a: \x07", "special characters are not allowed"),
    "within itself": ("a: &a\n  args: *a\n", "unconstructable recursive node"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files(what: str) -> None:
    text, message = HOSTILE[what]
    with pytest.raises(ScheduleError, match=message) as raised:
        read(text)
    assert "\n" not in str(raised.value)


def test_an_unquoted_cron_line_is_explained() -> None:
    with pytest.raises(ScheduleError, match="put a cron line into quotes"):
        read("a:\n  cron: */5 * * * *\n")


def test_without_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ScheduleError, match=r"pip install 'gresque\[cron\]'"):
        read("")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScheduleError, match=r"cannot read the schedule file .*: No such file"):
        read_file(str(tmp_path / "cron.yml"), lambda job: None)
    (tmp_path / "cron.yml").write_bytes(b"\xff")
    with pytest.raises(ScheduleError, match="cannot read the schedule file"):
        read_file(str(tmp_path / "cron.yml"), lambda job: None)
