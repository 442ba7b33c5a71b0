from __future__ import annotations

import json
from typing import Any

import pytest

from gresque.errors import ScheduleError
from gresque.schedule.entry import Entry, arguments, check, from_json

TICK = 1_774_746_000_000  # 2026-03-29T01:00:00Z, when the clocks of Berlin go forward


def entry(**fields: Any) -> Entry:
    return Entry(**{"name": "nightly", "cron": "30 2 * * *", "job": "a.b", "queue": "q"} | fields)


def test_json_leaves_out_what_has_its_default() -> None:
    plain = entry()
    assert json.loads(plain.to_json()) == {
        "name": "nightly", "cron": "30 2 * * *", "job": "a.b", "queue": "q",
    }  # fmt: skip
    full = entry(
        tz="Europe/Berlin", args=[1, {"_kwargs": True, "b": 2}], catch_up="all",
        max_late_seconds=None, jitter_seconds=5.0, enabled=False, envelope={"dirty_exit": "fail"},
        expires_seconds=60.0, source="code", app="myapp.jobs", description="at night",
    )  # fmt: skip
    assert from_json(plain.to_json()) == plain
    assert from_json(full.to_json()) == full


def test_the_payload_of_a_tick() -> None:
    found = entry(tz="Europe/Berlin", args=[1, {"b": 2, "_kwargs": True}], envelope={"x": 1})
    job_id, raw = found.make_job(TICK, 0.0) or ("", b"")
    payload = json.loads(raw)
    assert payload == {
        "class": "a.b", "args": [1, {"b": 2, "_kwargs": True}], "id": job_id, "generation": 1,
        "gresque": {"x": 1, "cron": "nightly", "scheduled_for": "2026-03-29T03:00:00+02:00"},
    }  # fmt: skip
    assert "expires_at" not in payload
    _, raw = entry(expires_seconds=60.0).make_job(TICK, 1000.0) or ("", b"")
    assert json.loads(raw)["expires_at"] == 1060.0


def test_same_times() -> None:
    assert entry(args=[1], queue="other").same_times(entry())
    for changed in ({"cron": "31 2 * * *"}, {"tz": "Europe/Berlin"}, {"enabled": False}):
        assert not entry(**changed).same_times(entry())
    assert not entry().same_times(None)


def test_arguments() -> None:
    assert arguments(None) == arguments({}) == []
    assert arguments((1, [2])) == [1, [2]]
    assert arguments({"a": 1}) == [{"a": 1, "_kwargs": True}]
    for wrong in ("text", 5):
        with pytest.raises(ScheduleError, match="give a tuple or list"):
            arguments(wrong)
    with pytest.raises(ScheduleError, match="1 is no name of an argument"):
        arguments({1: 2})


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": ""}, "not the name of an entry"),
    "no time": ({"cron": None}, "give either a cron line or an interval"),
    "two times": ({"every": 5.0}, "give either a cron line or an interval"),
    "no queue": ({"queue": ""}, "not the name of a queue"),
    "catch_up": ({"catch_up": "most"}, "give 'one', 'all' or 'skip'"),
    "late": ({"max_late_seconds": 0.0}, "max_late_seconds=0.0 is no time"),
    "negative jitter": ({"jitter_seconds": -1.0}, "jitter_seconds=-1.0 is no time"),
    "jitter": ({"cron": "*/5 * * * *", "jitter_seconds": 600.0}, "longer than the 300 s between"),
    "late as text": ({"max_late_seconds": "5"}, "max_late_seconds='5' is no time"),
    "huge": ({"max_late_seconds": 10**400}, "is no time; give a number of seconds above 0"),
    "jitter as text": ({"jitter_seconds": "5"}, "jitter_seconds='5' is no time"),
    "name of a wrong type": ({"name": 3}, "3 is not the name of an entry"),
    "queue of a wrong type": ({"queue": 3}, "3 is not the name of a queue"),
    "enabled": ({"enabled": "no"}, "enabled='no' is unknown; give True or False"),
    "description": ({"description": 3}, "description=3 is no text; give a str"),
    "zone of a wrong type": ({"tz": 3}, "tz=3 is no zone; give its name"),
    "argument": ({"args": [float("nan")]}, "argument 1"),
    "line": ({"cron": "61 * * * *"}, "its minute '61' is wrong"),
    "zone": ({"tz": "Nowhere"}, "the zone 'Nowhere' is unknown"),
    "source": ({"source": "elsewhere"}, "its source 'elsewhere' is unknown"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_entries(what: str) -> None:
    fields, message = WRONG[what]
    with pytest.raises(ScheduleError) as raised:
        check(entry(**fields))
    assert message in str(raised.value)


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"name":"a"}', b"\xff", b'{"name":1}'])
def test_json_that_is_no_entry(raw: bytes) -> None:
    with pytest.raises(ScheduleError, match="cannot be read"):
        from_json(raw)
