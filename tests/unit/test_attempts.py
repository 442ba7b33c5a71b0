"""What the envelope of a payload says of the attempts of a job."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gresque.jobs import payload
from gresque.jobs.attempts import (
    ERRORS_KEPT,
    MOST_BYTES,
    attempt_of,
    begun_again,
    ended,
    errors_of,
    failed_attempt,
    snoozed,
    unknown_here,
    without_history,
)
from gresque.jobs.crash_history import add_death, deaths, recoveries
from gresque.jobs.envelope import members_of

NOW = 1_800_000_000.0
PLAIN = payload.encode("mail", (1,), {"a": 2}, "id1")
KEPT = payload.encode("mail", (1,), None, "id1", envelope={"retries": 5, "later_version": [1]})


def said(raw: bytes | None) -> Any:
    assert raw is not None
    return json.loads(raw).get("gresque", {})


@pytest.mark.parametrize("raw", [PLAIN, KEPT, b'{"class":"mail"}', b' { "class" : "mail" } '])
def test_a_failed_attempt(raw: bytes) -> None:
    before = said(raw)
    once = failed_attempt(add_death(raw, "vm:1"), "ValueError", "no", NOW, 16)
    assert said(once) == before | {
        "attempt": 2, "first_failed_at": NOW, "run_at": NOW + 16,
        "errors": [{"at": "2027-01-15T08:00:00+00:00", "class": "ValueError", "message": "no"}],
    }  # fmt: skip
    assert once is not None
    twice = failed_attempt(once, "OSError", "x", NOW + 20, 31)
    assert twice is not None
    assert (said(twice)["attempt"], said(twice)["first_failed_at"]) == (3, NOW)
    assert said(twice)["run_at"] == NOW + 51
    assert [each.error_class for each in errors_of(members_of(twice))] == ["ValueError", "OSError"]
    assert json.loads(without_history(twice)) == json.loads(raw)
    again = members_of(begun_again(twice))
    assert (attempt_of(again), len(errors_of(again))) == (1, 2)
    assert set(said(begun_again(twice))) == {*before, "errors"}


def test_a_snooze_takes_no_attempt() -> None:
    failed = failed_attempt(PLAIN, "E", "", NOW, 1)
    assert failed is not None
    raw = failed
    for count in (1, 2):
        raw = snoozed(raw, NOW, 30)  # type: ignore[assignment]
        assert said(raw)["snoozes"] == count
    assert (said(raw)["attempt"], len(said(raw)["errors"])) == (2, 1)
    assert "snoozes" not in said(failed_attempt(raw, "E", "", NOW, 1))


def test_a_job_that_is_unknown_keeps_when_it_was_first() -> None:
    raw = unknown_here(KEPT, NOW, 5)
    assert raw is not None
    assert said(unknown_here(raw, NOW + 5, 5)) == said(KEPT) | {
        "unknown_since": NOW, "run_at": NOW + 10,
    }  # fmt: skip
    assert "unknown_since" not in said(failed_attempt(raw, "E", "", NOW, 1))


def test_a_job_that_is_unknown_has_not_run_to_an_end() -> None:
    """The processes that died under it count, or poison would go on in a fleet of two versions."""
    raw = add_death(add_death(KEPT, "a"), "b")
    waits = unknown_here(raw, NOW, 5)
    assert waits is not None
    assert (recoveries(waits), deaths(waits)) == (2, ["a", "b"])
    assert recoveries(snoozed(waits, NOW, 5) or b"") == 0


def test_the_last_error_stands_with_those_before_it() -> None:
    assert ended(PLAIN, "E", "x", NOW) == PLAIN
    raw = failed_attempt(PLAIN, "E", "1", NOW, 1)
    assert raw is not None
    assert [each["message"] for each in said(ended(raw, "E", "2", NOW))["errors"]] == ["1", "2"]


LARGEST = "x" * (payload.MAX_PAYLOAD_BYTES - 120)


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("x" * 10**5, "x"),
        ("\ud800" * 10**5, "x"),
        ("ü" * 10**5, "x"),
        ("\x00" * 10**5, "x"),
        ("\x00" * 10**5, LARGEST),
    ],
    ids=["ASCII", "surrogates", "umlauts", "zeros", "of the largest payload"],
)
def test_a_history_is_bounded(text: str, argument: str) -> None:
    """Whatever the exceptions say: the payload may be as large as any."""
    raw = before = payload.encode("mail", (argument,), None, "id1")
    for _ in range(ERRORS_KEPT + 2):
        raw = failed_attempt(raw, text, text, NOW, 1e6)  # type: ignore[assignment]
    assert len(raw) - len(before) < MOST_BYTES
    assert len(errors_of(members_of(raw))) == ERRORS_KEPT
    assert attempt_of(members_of(raw)) == ERRORS_KEPT + 3
    assert payload.decode(raw).name == "mail"


HISTORIES = ["5", "{}", '[{"at":5}]', '["x"]', '[{"class":[1],"message":null}]', "null", '"x"']


@pytest.mark.parametrize("history", HISTORIES)
def test_whatever_another_program_writes_there(history: str) -> None:
    raw = b'{"class":"A","gresque":{"errors":%b,"attempt":[7],"snoozes":"x"}}' % history.encode()
    once = failed_attempt(raw, "E", "", NOW, 1)
    assert said(once)["attempt"] == 2
    assert said(once)["errors"][-1]["class"] == "E"
    assert said(snoozed(raw, NOW, 1))["snoozes"] == 1


def test_what_cannot_count_is_not_tried_again() -> None:
    """A payload that would stay as it is would be tried for ever."""
    odd = b'{"class":"A","\\u0067resque":{},"x\xff":1}'
    assert failed_attempt(odd, "E", "", NOW, 1) is None
    assert snoozed(odd, NOW, 1) is None
    assert unknown_here(odd, NOW, 1) is None
