"""Whether and when a failed job runs again, by its declaration."""

from __future__ import annotations

import copy
import math
import pickle
from datetime import timedelta
from typing import Any

import pytest

import gresque
from gresque.errors import (
    DirtyExit,
    GiveUp,
    InvalidJobResult,
    InvalidPayload,
    JobDeclarationError,
    JobExpired,
    JobTimeout,
    PoisonJob,
    RetryLater,
)
from gresque.jobs.envelope import members_of
from gresque.jobs.retry_policy import (
    LONGEST_SECONDS,
    MOST_RETRIES,
    MOST_SNOOZES,
    Again,
    default_backoff,
    exponential,
    next_attempt,
    retry_policy,
)

NOW = 1_800_000_000.0


class Busy(Exception): ...


class Throttled(Busy): ...


def again(error: BaseException, envelope: str = "{}", default: int = 0, **options: Any) -> Any:
    policy = retry_policy("mail", **options)
    members = members_of(b'{"class":"mail","gresque":%b}' % envelope.encode())
    return next_attempt(error, policy, members, default, NOW)


def delay(error: BaseException, envelope: str = "{}", **options: Any) -> float | None:
    """Of a further attempt; None when there is none."""
    found = again(error, envelope, **options)
    assert found is None or found.counts
    return None if found is None else found.seconds


# Which, by the nearest class
FIVE = {"retries": 5, "backoff": 7}
VERDICTS: list[tuple[BaseException, dict[str, Any], Any]] = [
    (ValueError(), FIVE, Again(7, True)),
    (SystemExit(), FIVE, Again(7, True)),
    (JobTimeout(), FIVE, Again(7, True)),
    (JobTimeout(), FIVE | {"fatal": JobTimeout}, None),
    (ValueError(), {}, None),
    (ValueError(), {"retries": 0}, None),
    (ValueError(), FIVE | {"fatal": (ValueError,)}, None),
    (UnicodeError(), FIVE | {"fatal": (ValueError,)}, None),
    (ValueError(), FIVE | {"fatal": (UnicodeError,)}, Again(7, True)),
    (OSError(), FIVE | {"retry_on": (IOError,)}, Again(7, True)),
    (ConnectionError(), FIVE | {"retry_on": OSError}, Again(7, True)),
    (ValueError(), FIVE | {"retry_on": [OSError]}, None),
    (ConnectionError(), FIVE | {"retry_on": OSError, "fatal": ConnectionError}, None),
    (ConnectionResetError(), FIVE | {"retry_on": ConnectionResetError, "fatal": ConnectionError},
     Again(7, True)),
    (Busy(), FIVE | {"retry_delays": {Busy: 30}}, Again(30, True)),
    (Throttled(), FIVE | {"retry_delays": {Busy: 30}}, Again(30, True)),
    (Throttled(), FIVE | {"retry_delays": {Busy: 30, Throttled: [60, 600]}}, Again(60, True)),
    (Busy(), FIVE | {"retry_delays": {Busy: timedelta(minutes=2)}}, Again(120, True)),
    (Busy(), FIVE | {"retry_delays": {Busy: 3}, "retry_on": (OSError,)}, Again(3, True)),
    (Throttled(), FIVE | {"retry_delays": {Busy: 3}, "fatal": Throttled}, None),
    (Busy(), {"ignore": (Busy,)}, Again(16, False)),
    (Throttled(), FIVE | {"ignore": (Busy,)}, Again(7, False)),
    (Throttled(), FIVE | {"ignore": (Busy,), "fatal": (Throttled,)}, None),
    (Busy(), FIVE | {"ignore": (Busy,), "retry_delays": {Busy: 3}}, Again(3, False)),
    (RetryLater(30), {}, Again(30, False)),
    (RetryLater(timedelta(hours=1)), FIVE, Again(3600, False)),
    (RetryLater(1e300), {}, Again(LONGEST_SECONDS, False)),
    (GiveUp("no such user"), FIVE, None),
    (DirtyExit(), FIVE, None), (PoisonJob(), FIVE, None), (JobExpired(), FIVE, None),
    (InvalidPayload(), FIVE, None), (InvalidJobResult(), FIVE, None),
]  # fmt: skip


@pytest.mark.parametrize(("error", "options", "verdict"), VERDICTS, ids=range(len(VERDICTS)))
def test_what_becomes_of_an_exception(
    error: BaseException, options: dict[str, Any], verdict: Again | None, monkeypatch: Any
) -> None:
    monkeypatch.setattr("gresque.jobs.retry_policy.random.uniform", lambda low, high: 1)
    assert again(error, **options) == verdict


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (7, [7, 7, 7]), ([1, 20], [1, 20, 20]), ((timedelta(seconds=2), 5.5), [2, 5.5, 5.5]),
        (lambda attempt: attempt * 10, [10, 20, 30]), (0, [0, 0, 0]),
        (lambda attempt: timedelta(days=9999), [LONGEST_SECONDS] * 3),
        (exponential(10, 3, 80, jitter=0), [10, 30, 80]),
    ],
    ids=range(7),
)  # fmt: skip
def test_delays_by_attempt(backoff: Any, delays: list[float]) -> None:
    for attempt, seconds in enumerate(delays, start=1):
        assert delay(Busy(), f'{{"attempt":{attempt}}}', retries=9, backoff=backoff) == seconds


def test_the_default_is_that_of_sidekiq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gresque.jobs.retry_policy.random.uniform", lambda low, high: 1)
    assert [default_backoff(n) for n in (1, 2, 3, 10)] == [16, 31, 96, 10_015]
    assert default_backoff(10**6) == LONGEST_SECONDS
    assert exponential(factor=10)(10**6) == pytest.approx(3600 / 1.15)


@pytest.mark.parametrize("backoff", [None, exponential(base=16)], ids=["default", "exponential"])
def test_jobs_that_failed_together_come_back_spread(backoff: Any) -> None:
    """By Kolmogorov and Smirnov the delays of 10,000 are uniform within 15 %."""
    found = sorted(delay(Busy(), retries=1, backoff=backoff) or 0 for _ in range(10_000))
    low, high = 16 * 0.85, 16 * 1.15
    assert low <= found[0] and found[-1] <= high
    distance = max(
        abs((seconds - low) / (high - low) - (place + 0.5) / len(found))
        for place, seconds in enumerate(found)
    )
    assert distance < 2.2 / math.sqrt(len(found)), "once in 10,000 runs by chance"


def test_the_number_of_attempts() -> None:
    for attempt, last in ((1, False), (3, False), (4, True), (5, True)):
        envelope = f'{{"attempt":{attempt},"retries":9}}'
        assert (delay(Busy(), envelope, retries=3, backoff=1) is None) is last
    for envelope in ("{}", '{"attempt":"x"}', '{"attempt":-7}', '{"attempt":null}'):
        assert delay(Busy(), envelope, retries=1, backoff=1) == 1


def test_the_declaration_goes_before_the_envelope_and_that_before_the_setting() -> None:
    assert again(Busy(), '{"retries":1}', default=0) is not None
    assert again(Busy(), '{"retries":0}', default=5) is None
    assert again(Busy(), '{"retries":5}', default=5, retries=0) is None
    assert again(Busy(), '{"retries":"x"}', default=1) is not None
    assert again(Busy(), default=1) is not None
    assert again(Busy(), '{"retries":5}', fatal=Busy) is None
    assert retry_policy("mail", retries=5, retry_for_seconds=60).envelope == {  # type: ignore[union-attr]
        "retries": 5, "retry_for": 60,
    }  # fmt: skip


def test_the_last_attempt_is_at_the_end_of_the_time() -> None:
    options: dict[str, Any] = {"retry_for_seconds": 100, "backoff": 60}
    first = '{"attempt":%d,"first_failed_at":%f}'
    assert delay(Busy(), **options) == 60
    assert delay(Busy(), first % (2, NOW - 60), **options) == 40
    assert delay(Busy(), first % (3, NOW - 100), **options) is None
    assert delay(Busy(), first % (900, NOW - 1), **options) == 60
    assert delay(Busy(), first % (2, NOW - 60), retries=1, **options) is None
    assert delay(Busy(), '{"attempt":2,"first_failed_at":"x"}', **options) == 60
    by_envelope = '{"attempt":2,"first_failed_at":%f,"retry_for":100,"retries":9}' % (NOW - 100)
    assert again(Busy(), by_envelope) is None


def test_a_job_is_not_put_off_for_ever() -> None:
    for error in (RetryLater(1), Busy()):
        for snoozes, goes_on in ((MOST_SNOOZES - 1, True), (MOST_SNOOZES, False)):
            found = again(error, f'{{"snoozes":{snoozes}}}', ignore=Busy)
            assert (found is not None) is goes_on


def test_a_back_off_that_returns_nonsense_says_so() -> None:
    for nonsense in ("5", None, -1, math.nan, math.inf, True, 10**400):
        with pytest.raises(ValueError, match=r"its back-off returned .* for attempt 1; ret"):
            delay(Busy(), retries=1, backoff=lambda attempt, found=nonsense: found)


# Declarations

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"retries": "5"}, "retries='5' is no number of further attempts; give a whole number"),
    ({"retries": -1}, "retries=-1 is no number of further attempts"),
    ({"retries": True}, "retries=True is no number"), ({"retries": 1.5}, "retries=1.5 is no"),
    ({"retries": MOST_RETRIES + 1}, "give a whole number from 0 to 1,000,000"),
    ({"backoff": 5}, "backoff= says how to retry, and nothing says how often; give retries= too"),
    ({"retry_on": OSError}, "retry_on= says how to retry"),
    ({"retry_delays": {Busy: 5}}, "retry_delays= says how to retry"),
    ({"retries": 1, "backoff": "5"}, "backoff: '5' is no delay; give a number of seconds, a"),
    ({"retries": 1, "backoff": -5}, "backoff: -5 is no delay"),
    ({"retries": 1, "backoff": []}, r"backoff: \[\] is no delay"),
    ({"retries": 1, "backoff": [1, None]}, r"backoff: \[1, None\] is no delay"),
    ({"retries": 1, "backoff": math.nan}, "backoff: nan is no delay"),
    ({"retries": 1, "retry_delays": {Busy: "soon"}}, "retry_delays of Busy: 'soon' is no delay"),
    ({"retries": 1, "retry_delays": {Busy: print}}, "retry_delays of Busy: .* is no delay"),
    ({"retries": 1, "retry_delays": {"Busy": 5}}, "retry_delays: 'Busy' is no class of exceptions"),
    ({"retries": 1, "retry_delays": 5}, "retry_delays=5 is no dict"),
    ({"fatal": "ValueError"}, "fatal: 'ValueError' is no class of exceptions; give one such as"),
    ({"fatal": ValueError()}, r"fatal: ValueError\(\) is no class"),
    ({"ignore": (int,)}, "ignore: <class 'int'> is no class of exceptions"),
    ({"retries": 1, "retry_on": None, "fatal": [None]}, "fatal: None is no class"),
    ({"fatal": Busy, "ignore": Busy}, "Busy stands in fatal= and in ignore=; leave it out of one"),
    ({"retries": 1, "fatal": Busy, "retry_on": Busy}, "Busy stands in fatal= and in retry_on="),
    ({"retries": 1, "fatal": Busy, "retry_delays": {Busy: 1}}, "in fatal= and in retry_delays="),
    ({"retries": 1, "ignore": Busy, "retry_on": Busy}, "stands in ignore= and in retry_on="),
    ({"retry_for_seconds": 0}, "retry_for_seconds=0 is no time; give a number of seconds above 0"),
    ({"retry_for_seconds": "1h"}, "retry_for_seconds='1h' is no time"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "line"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_declaration_is_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(JobDeclarationError, match=f"^job mail: .*{line}"):
        gresque.job("q", name="mail", **options)(lambda: None)
    with pytest.raises(JobDeclarationError, match=line):
        type("Wrong", (gresque.Job,), {"queue": "q", "perform": lambda: None, **options})


@pytest.mark.parametrize(
    "options", [{"base": -1}, {"factor": 0.5}, {"max": "1h"}, {"jitter": 2}, {"base": math.inf}]
)
def test_a_wrong_back_off_is_one_line(options: dict[str, Any]) -> None:
    with pytest.raises(JobDeclarationError, match=r"exponential\(\w+=.*\): give a number"):
        exponential(**options)


def test_a_declaration_that_says_nothing_changes_no_payload() -> None:
    plain = gresque.job("q", name="test_retry_policy.plain")(lambda: None).definition
    assert (plain.retry, plain.envelope) == (None, None)
    with_retries = gresque.job("q", name="test_retry_policy.with", retries=5)(lambda: None)
    assert with_retries.definition.envelope == {"retries": 5}
    quiet = gresque.job("q", name="test_retry_policy.quiet", fatal=Busy)(lambda: None)
    assert quiet.definition.envelope is None

    class OfAClass(gresque.Job):
        name, queue, retries, on_dirty_exit = "test_retry_policy.of_a_class", "q", 3, "fail"
        retry_delays = {Busy: 5}  # noqa: RUF012

        def perform() -> None: ...

        def backoff(attempt: int) -> int:  # type: ignore[override]
            return attempt

    assert OfAClass.definition.envelope == {"dirty_exit": "fail", "retries": 3}
    policy = OfAClass.definition.retry
    assert next_attempt(Busy(), policy, {}, 0, NOW) == Again(5, True)
    assert next_attempt(OSError(), policy, {}, 0, NOW) == Again(1, True)


def test_a_wish_for_later_travels_between_processes() -> None:
    class Own(RetryLater):
        pass

    for error in (RetryLater(timedelta(minutes=1)), copy.copy(Own(60))):
        assert (error.seconds, str(error)) == (60, "run again in 60 s")
    again = pickle.loads(pickle.dumps(RetryLater(60)))
    assert (type(again), again.seconds, str(again)) == (RetryLater, 60, "run again in 60 s")


@pytest.mark.parametrize(
    "wrong",
    [-1, "5", None, math.nan, math.inf, True, [5], 10**400],
    ids=lambda each: repr(each)[:9],
)
def test_a_wrong_delay_of_a_job_is_an_error(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"RetryLater\(.*\): give a number of seconds, 0 or more"):
        RetryLater(wrong)
    assert str(RetryLater(90)) == "run again in 90 s"


@pytest.mark.parametrize("wrong", [-1, "5", None, math.nan, True, [5]], ids=repr)
def test_a_class_of_the_jobs_own_may_have_a_wrong_delay(wrong: Any) -> None:
    class Mine(RetryLater):
        def __init__(self) -> None:
            self.seconds = wrong

    with pytest.raises(ValueError, match=r"Mine.seconds is .*: give a number, 0 or more"):
        next_attempt(Mine(), None, {}, 0, NOW)


def test_no_number_of_attempts_is_too_large() -> None:
    members = members_of(b'{"gresque":{"attempt":%d,"retries":%d}}' % (10**100, 10**200))
    found = next_attempt(ValueError(), None, members, 0, NOW)
    assert found is not None and LONGEST_SECONDS * 0.85 <= found.seconds <= LONGEST_SECONDS * 1.15
