"""Tracked jobs: what is known of one after each of its ends, and which results can be kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

import gresque
from gresque.errors import JobDeclarationError, UnserializableResult
from gresque.jobs import payload
from gresque.jobs.crash_history import add_death
from gresque.jobs.definition import JobDefinition, tracked_as
from gresque.jobs.ends import Attempt, End, EndedJob, EndRules, Way, effects_of, state_after
from gresque.jobs.retry_policy import Again
from gresque.jobs.tracking import (
    Details,
    checked_progress,
    cut_error,
    decode_details,
    encode_result,
    progress_of,
    ttl_of,
)
from gresque.settings import RESULT_MAX_BYTES
from gresque.store.effects import Effect
from gresque.store.keys import Keys

KEYS = Keys("resque")
RULES = EndRules(KEYS, max_recoveries=2)
RAW = payload.encode("t.job", (1,), None, "id1", envelope={"track": 60})
DAY = 86_400_000


def effects(
    end: End, raw: bytes = RAW, attempt: Attempt | None = None, run: Details | None = None
) -> tuple[Effect, ...]:
    job = EndedJob("mail", raw, "vm:1 at noon")
    job.run = run
    return effects_of(job, end, None, RULES, lambda way, raw: b"entry", attempt).effects


def state(found: tuple[Effect, ...]) -> tuple[str, Details, int]:
    """Of the last effect, which stands behind what moves the job."""
    last = found[-1]
    assert (last.kind, last.key) == ("result", "resque:job:id1")
    assert [each.kind for each in found].count("result") == 1
    assert isinstance(last.b, bytes)
    return str(last.a), decode_details(last.b), int(last.c)


STATES: dict[End, str | None] = {
    End.DONE: "done",
    End.FAILED: "failed",
    End.TIMED_OUT: "failed",
    End.UNKNOWN: "failed",
    End.EXPIRED: "failed",
    End.KILLED: "failed",
    End.CUT_SHORT: "queued",
    End.RESULT_REFUSED: "failed",
    End.UNREADABLE: "failed",
    End.GIVEN_BACK: None,
    End.LOCKED_OUT: "queued",  # one without a mark: it never is
    End.DIED: "queued",
    End.DIED_BESIDE: "queued",
    End.BLAMED: "failed",
    End.DEQUEUED: "cancelled",
    End.QUEUE_REMOVED: "cancelled",
    End.RETRIED: "queued",
    End.ENTRY_REMOVED: None,
}


def test_every_end_is_in_the_table() -> None:
    assert STATES.keys() == set(End)


@pytest.mark.parametrize("end", End)
def test_every_end_of_a_tracked_job(end: End) -> None:
    """What is known of it is kept for its time after the end, and for a day longer before that."""
    found = effects(end)
    if STATES[end] is None:
        assert all(each.kind != "result" for each in found)
        return
    name, details, expiry_ms = state(found)
    assert (name, details.name, details.queue) == (STATES[end], "t.job", "mail")
    is_over = name in ("done", "failed", "cancelled")
    assert expiry_ms == (60_000 if is_over else 60_000 + DAY)
    assert bool(details.ended) == is_over


@pytest.mark.parametrize("end", End)
def test_a_job_that_is_not_tracked_has_no_such_effect(end: End) -> None:
    others = [
        payload.encode("t.job", ("track",), None, "id1"),
        payload.encode("t.job", ({"track": 9},), None, "id1"),
        payload.encode("t.job", (1,), None, "id1", envelope={"track": 0}),
        payload.encode("t.job", (1,), None, "id1", envelope={"track": "x", "run_at": 1}),
        RAW.replace(b'"id":"id1"', b'"id":7'),
    ]
    for raw in others:
        assert all(each.kind != "result" for each in effects(end, raw))


def test_what_is_known_after_a_failure_and_before_another_attempt() -> None:
    run = Details(name="t.job", queue="mail", started=5, worker="vm:1", progress=[1, 2, ""])
    later = Attempt("ValueError", "no", 7.5, Again(90.0, counts=True), ["line 1", "line 2"])
    name, details, expiry_ms = state(effects(End.FAILED, attempt=later, run=run))
    assert (name, details.attempt, expiry_ms) == ("retrying", 2, 90_000 + DAY)
    assert details.error == ["ValueError", "no", "line 1\nline 2"]
    assert (details.started, details.worker, details.progress) == (0, "", None)
    at_once = later.__class__("ValueError", "no", 7.5, Again(0.0, counts=True))
    assert state(effects(End.FAILED, attempt=at_once))[0] == "queued"
    snooze = later.__class__("RetryLater", "", 7.5, Again(30.0, counts=False))
    name, details, expiry_ms = state(effects(End.FAILED, attempt=snooze))
    assert (name, details.attempt, details.error) == ("later", 1, None)
    assert expiry_ms == 60_000 + DAY
    last = later.__class__("ValueError", "no", 7.5)
    name, details, _ = state(effects(End.FAILED, attempt=last, run=run))
    assert (name, details.started, details.ended) == ("failed", 5, 7500)
    assert (details.worker, details.progress) == ("vm:1", [1, 2, ""])
    assert run.ended == 0  # it is not changed itself


def test_a_poisoned_and_a_dropped_job() -> None:
    twice = add_death(RAW, "vm:1")
    attempt = Attempt("gresque.DirtyExit", "its process died", 1.0)
    name, details, _ = state(effects(End.DIED, twice, attempt))
    assert name == "failed"
    assert details.error is not None
    assert "given up after 2 deaths" in details.error[1]
    definition = JobDefinition(name="t.job", queue="mail", function=print, on_expire="drop")
    ending = effects_of(EndedJob("mail", RAW), End.EXPIRED, definition, RULES)
    assert (ending.way, state(ending.effects)[0]) == (Way.DONE, "cancelled")


def test_the_state_after_an_end_by_hand() -> None:
    found = state_after("mail", RAW, End.RETRIED)
    assert found is not None
    assert found[:2] == ("id1", "queued")
    assert state_after("mail", payload.encode("t.job", (1,), None, "id1"), End.RETRIED) is None


def test_a_declaration_says_for_how_long_in_the_payload() -> None:
    for given, seconds in ((60, 60), (0.2, 1), (timedelta(hours=1), 3600), (0, 0), (None, 0)):
        made = JobDefinition(name="t", queue="q", function=print, result_ttl_seconds=given)
        assert made.result_ttl_seconds == seconds
        assert (made.envelope or {}).get("track", 0) == seconds
    assert tracked_as(made, 5).envelope == {"track": 5}
    for wrong in (-1, "x", float("nan"), 10**12):
        with pytest.raises(JobDeclarationError, match=r"result_ttl_seconds=.*give a number"):
            JobDefinition(name="t", queue="q", function=print, result_ttl_seconds=wrong)


def test_how_long_an_envelope_says() -> None:
    assert ttl_of({"track": msgspec.Raw(b"60")}) == 60
    assert ttl_of({"track": msgspec.Raw(b"-5")}) == 0
    assert ttl_of({"track": msgspec.Raw(b'"a"')}) == ttl_of({}) == 0
    assert ttl_of({"track": msgspec.Raw(b"99999999999")}) == 10 * 365 * 86_400


@pytest.mark.parametrize(
    ("value", "as_json"),
    [(None, b"null"), ((1, "a"), b'[1,"a"]'), ({"a": [1.5]}, b'{"a":[1.5]}'), (True, b"true")],
)
def test_results_that_can_be_kept(value: Any, as_json: bytes) -> None:
    assert encode_result("t.job", value) == as_json


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({1}, "its result is a set, which JSON cannot carry"),
        (float("nan"), "its result is nan"),
        ({1: 2}, "its result has the key 1"),
        ([b"x"], r"its result\[0\] is a bytes"),
        ("\udc80", "its result has a lone surrogate"),
        ("x" * RESULT_MAX_BYTES, "its result has 1,048,578 bytes as JSON, the limit is 1,048,576"),
    ],
)
def test_results_that_cannot_be_kept(value: Any, says: str) -> None:
    with pytest.raises(UnserializableResult, match=f"t.job: {says}"):
        encode_result("t.job", value)


def test_a_limit_of_its_own() -> None:
    assert encode_result("t.job", "xx", 4) == b'"xx"'
    with pytest.raises(
        UnserializableResult, match=r"has 5 bytes as JSON, the limit is 4 \(RESULT_"
    ):
        encode_result("t.job", "xxx", 4)


def test_progress() -> None:
    assert checked_progress(1, None, "\udc80" + "x" * 500)[2] == "?" + "x" * 199
    assert progress_of([1, 2.5, "a"]) == gresque.Progress(1, 2.5, "a")
    for wrong in (None, [1, 2], ["1", 2, ""], [1, "2", ""], {}, [True, 2, ""]):
        assert progress_of(wrong) is None
    for done, total in (("1", 2), (1, "2"), (float("inf"), 1), (True, 1), (2**70, 1)):
        with pytest.raises(ValueError, match="give numbers"):
            checked_progress(done, total, "")
    with pytest.raises(gresque.GresqueError, match="no job runs here"):
        gresque.progress(1, 2)


def test_errors_are_cut() -> None:
    name, message, trace = cut_error("N" * 999, "m" * 9999, ["a"] * 99_999 + ["the end"])
    assert (len(name), len(message), len(trace)) == (200, 1000, 20_000)
    assert trace.endswith("the end")
    assert decode_details(b"no JSON") == decode_details(None) == Details()
