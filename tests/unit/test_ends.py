"""What each end of a job means: where the job goes, what it counts as, and who says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gresque.errors import DirtyExit, JobTimeout, RetryLater, UnknownJob
from gresque.jobs import attempts, payload
from gresque.jobs.crash_history import add_death, deaths, recoveries
from gresque.jobs.definition import JobDefinition
from gresque.jobs.ends import (
    BY_HAND,
    DIRTY,
    TRIED_AGAIN,
    Attempt,
    End,
    EndedJob,
    EndRules,
    Way,
    effects_of,
    next_run,
)
from gresque.jobs.retry_policy import Again, retry_policy
from gresque.store.effects import KINDS, Effect
from gresque.store.keys import Keys

KEYS = Keys("resque")
RAW = payload.encode("test_ends", (1,), {"a": 2}, "id1")
ONCE, TWICE = add_death(RAW, "vm:1 at noon"), add_death(add_death(RAW, "vm:1"), "vm:2")
PROMISED = payload.encode("test_ends", (1,), None, "id1", envelope={"dirty_exit": "fail"})
KINDLY = payload.encode("test_ends", (1,), None, "id1", envelope={"dirty_exit": "requeue"})

FAILED = (Effect("fail", "resque:failed", b"entry"),)
QUEUED = (Effect("requeue", "resque:queue:mail", "mail"),)
SUSPECT_1 = (Effect("suspect", "resque:suspects:1:mail", "mail"),)
SUSPECT_2 = (Effect("suspect", "resque:suspects:2:mail", "mail"),)


def rules(**changes: Any) -> EndRules:
    settings = {"on_dirty_exit": "requeue", "max_recoveries": 3, "failure_backend": "redis"}
    return EndRules(KEYS, **{**settings, **changes})


def declared(**options: Any) -> JobDefinition:
    return JobDefinition(name="test_ends", queue="mail", function=print, **options)


def end_of(
    end: End,
    raw: bytes = RAW,
    definition: JobDefinition | None = None,
    by: EndRules | None = None,
) -> tuple[Way, tuple[Effect, ...]]:
    job = EndedJob("mail", raw, "vm:9 at night")
    ending = effects_of(job, end, definition, by or rules(), lambda way, raw: b"entry")
    return ending.way, ending.effects


# Every end of a plain job, and of one that is to fail when it is cut short.
EVERY_END: dict[End, tuple[tuple[Way, tuple[Effect, ...]], tuple[Way, tuple[Effect, ...]]]] = {
    End.DONE: ((Way.DONE, ()), (Way.DONE, ())),
    End.FAILED: ((Way.FAILED, FAILED), (Way.FAILED, FAILED)),
    End.TIMED_OUT: ((Way.FAILED, FAILED), (Way.FAILED, FAILED)),
    End.UNKNOWN: ((Way.FAILED, FAILED), (Way.FAILED, FAILED)),
    End.EXPIRED: ((Way.FAILED, FAILED), (Way.FAILED, FAILED)),
    End.KILLED: ((Way.FAILED, FAILED), (Way.FAILED, FAILED)),
    End.CUT_SHORT: ((Way.BACK, QUEUED), (Way.FAILED, FAILED)),
    End.RESULT_REFUSED: ((Way.FAILED, FAILED), (Way.FAILED, FAILED)),
    End.UNREADABLE: ((Way.FAILED, FAILED), (Way.FAILED, FAILED)),
    End.LOCKED_OUT: ((Way.BACK, QUEUED), (Way.BACK, QUEUED)),  # one without a mark: it never is
    End.GIVEN_BACK: ((Way.BACK, QUEUED), (Way.BACK, QUEUED)),
    End.DIED: ((Way.BACK, SUSPECT_1), (Way.FAILED, FAILED)),
    End.DIED_BESIDE: ((Way.BACK, QUEUED), (Way.FAILED, FAILED)),
    End.BLAMED: ((Way.FAILED, FAILED), (Way.FAILED, FAILED)),
    End.DEQUEUED: ((Way.GONE, ()), (Way.GONE, ())),
    End.QUEUE_REMOVED: ((Way.GONE, ()), (Way.GONE, ())),
    End.RETRIED: ((Way.GONE, ()), (Way.GONE, ())),
    End.ENTRY_REMOVED: ((Way.GONE, ()), (Way.GONE, ())),
}


def test_every_end_is_in_the_table() -> None:
    assert set(EVERY_END) == set(End)


@pytest.mark.parametrize("end", End)
def test_every_end(end: End) -> None:
    plain, failing = EVERY_END[end]
    assert end_of(end) == plain
    assert end_of(end, definition=declared()) == plain
    assert end_of(end, by=rules(on_dirty_exit="fail")) == failing
    assert end_of(end, definition=declared(on_dirty_exit="fail")) == failing
    assert end_of(end, raw=PROMISED) == failing


@pytest.mark.parametrize("end", End)
def test_a_job_that_a_worker_held_ends_once(end: End) -> None:
    """It has one carrier that takes it away, or its slot is emptied and nothing more happens."""
    for definition in (
        None,
        declared(),
        declared(on_expire="drop"),
        declared(on_dirty_exit="fail"),
    ):
        way, effects = end_of(end, definition=definition)
        carriers = [effect for effect in effects if KINDS[effect.kind].carrier]
        assert len(carriers) == (0 if way in (Way.DONE, Way.GONE) else 1)
        assert all(KINDS[effect.kind].built for effect in effects)


# By weight: what the definition says, what the envelope says, the settings
WEIGHTS: list[tuple[str | None, bytes, str, Way]] = [
    (None, RAW, "requeue", Way.BACK),
    (None, RAW, "fail", Way.FAILED),
    (None, PROMISED, "requeue", Way.FAILED),
    (None, KINDLY, "fail", Way.BACK),
    ("requeue", PROMISED, "fail", Way.BACK),
    ("fail", KINDLY, "requeue", Way.FAILED),
    (None, b'{"class":"A","gresque":{"dirty_exit":"explode"}}', "requeue", Way.BACK),
    (None, b'{"class":"A","gresque":{"dirty_exit":["fail"]}}', "requeue", Way.BACK),
    (None, b'{"class":"A","gresque":"fail"}', "requeue", Way.BACK),
]


@pytest.mark.parametrize("end", sorted(DIRTY, key=lambda end: end.name))
@pytest.mark.parametrize(("wish", "raw", "setting", "way"), WEIGHTS, ids=range(len(WEIGHTS)))
def test_the_declaration_goes_before_the_envelope_and_that_before_the_settings(
    end: End, wish: str | None, raw: bytes, setting: str, way: Way
) -> None:
    by = rules(on_dirty_exit=setting)
    assert end_of(end, raw, declared(on_dirty_exit=wish), by)[0] is way
    if wish is None:
        assert end_of(end, raw, None, by)[0] is way


def test_a_declaration_travels_in_the_envelope() -> None:
    assert declared(on_dirty_exit="fail").envelope == {"dirty_exit": "fail"}
    assert declared().envelope is None


HUGE = b'{"class":"A","args":[],"gresque":{"recoveries":%b}}' % (b"9" * 5000)
BROKEN = b'{"class":"A","args":[],"prefix":"\xff"}'


@pytest.mark.parametrize("raw", [RAW, PROMISED, b'{"class":"A"}', HUGE, BROKEN, b" { } "])
def test_a_death_counts_on_what_can_count_it(raw: bytes) -> None:
    job = EndedJob("mail", raw, "vm:9 at night")
    ending = effects_of(job, End.DIED, declared(on_dirty_exit="requeue"), rules())
    counted = payload.class_of(raw) is not None
    assert deaths(ending.raw) == (["vm:9 at night"] if counted else [])
    assert ending.effects == (SUSPECT_1 if counted else QUEUED)


@pytest.mark.parametrize("raw", [b"", b"not json", b"[1]", b"\xff", b"5"])
def test_an_item_that_is_no_job_goes_back_as_it_is(raw: bytes) -> None:
    ending = effects_of(EndedJob("mail", raw, "vm:9"), End.DIED, None, rules())
    assert (ending.way, ending.effects, ending.raw) == (Way.BACK, QUEUED, raw)


@pytest.mark.parametrize(
    ("most", "raw", "way", "effects"),
    [
        (3, RAW, Way.BACK, SUSPECT_1), (3, ONCE, Way.BACK, SUSPECT_2),
        (3, TWICE, Way.POISON, FAILED), (1, RAW, Way.POISON, FAILED),
        (2, ONCE, Way.POISON, FAILED), (0, TWICE, Way.BACK, SUSPECT_2),
    ],
)  # fmt: skip
def test_poison(most: int, raw: bytes, way: Way, effects: tuple[Effect, ...]) -> None:
    assert end_of(End.DIED, raw, by=rules(max_recoveries=most)) == (way, effects)


@pytest.mark.parametrize("end", [End.GIVEN_BACK, End.CUT_SHORT, End.DIED_BESIDE])
def test_a_suspect_that_goes_back_stays_one(end: End) -> None:
    assert end_of(end, ONCE) == (Way.BACK, SUSPECT_1)
    assert end_of(end, TWICE) == (Way.BACK, SUSPECT_2)
    odd = b'{"class":"A","args":["\\"recoveries\\"",{"recoveries":3}]}'
    assert end_of(end, odd) == (Way.BACK, QUEUED)


def test_the_entry_of_poison_has_the_history() -> None:
    seen: list[tuple[Way, int]] = []

    def entry(way: Way, raw: bytes) -> bytes:
        seen.append((way, recoveries(raw)))
        return b"entry"

    effects_of(EndedJob("mail", TWICE, "vm:3"), End.DIED, None, rules(), entry)
    effects_of(EndedJob("mail", TWICE), End.FAILED, None, rules(), entry)
    assert seen == [(Way.POISON, 3), (Way.FAILED, 2)]


@pytest.mark.parametrize("end", [End.FAILED, End.KILLED, End.BLAMED, End.UNREADABLE])
def test_a_job_may_leave_no_entry(end: End) -> None:
    silent = declared(skip_failed_queue=True)
    assert end_of(end, definition=silent) == (Way.FAILED, ())
    assert end_of(End.DIED, TWICE, definition=silent) == (Way.POISON, ())
    assert effects_of(EndedJob("mail", RAW), end, None, rules()).effects == ()


def test_a_job_that_nobody_took_up_in_time() -> None:
    assert end_of(End.EXPIRED, definition=declared(on_expire="drop")) == (Way.DONE, ())
    assert end_of(End.EXPIRED, definition=declared(on_expire="fail")) == (Way.FAILED, FAILED)


def test_with_a_list_for_each_queue_that_list_is_named() -> None:
    by = rules(failure_backend="redis_multi_queue,myapp.Sentry")
    (effect,) = end_of(End.FAILED, by=by)[1]
    assert effect == Effect("fail", "resque:mail_failed", b"entry", "mail_failed")


@pytest.mark.parametrize("end", sorted(BY_HAND, key=lambda end: end.name))
def test_what_is_taken_out_by_hand_goes_nowhere(end: End) -> None:
    for raw in (RAW, TWICE, PROMISED):
        assert end_of(end, raw, declared(on_dirty_exit="fail")) == (Way.GONE, ())


# Locks

DIGEST = "0123456789abcdef" * 2
LOCK = "resque:unique:" + DIGEST
UNLOCK = (Effect("unlock", LOCK, "mail", "id1", second_key="resque:queue:mail"),)
DROP = (Effect("unlock", LOCK, "", "id1", second_key="resque:queue:"),)
OF_WAITING = (LOCK + ":waiting", "resque:later", "resque:later:jobs")
PASS_ON = (
    Effect("pass_on", LOCK, "mail", "id1", second_key=("resque:queue:mail", *OF_WAITING)),
)  # fmt: skip
TO_NO_QUEUE = (Effect("pass_on", LOCK, "", "id1", second_key=("resque:queue:", *OF_WAITING)),)
NOTHING: tuple[Effect, ...] = ()

# What each end does to a lock that is held from the enqueue on, and to one of mode `running`
LOCKS: dict[End, tuple[tuple[Effect, ...], tuple[Effect, ...]]] = {
    End.DONE: (UNLOCK, PASS_ON),
    End.FAILED: (UNLOCK, PASS_ON),
    End.TIMED_OUT: (UNLOCK, PASS_ON),
    End.UNKNOWN: (UNLOCK, PASS_ON),
    End.EXPIRED: (UNLOCK, PASS_ON),
    End.KILLED: (UNLOCK, PASS_ON),
    End.CUT_SHORT: (NOTHING, PASS_ON),
    End.RESULT_REFUSED: (UNLOCK, PASS_ON),
    End.UNREADABLE: (UNLOCK, PASS_ON),
    End.GIVEN_BACK: (NOTHING, NOTHING),
    End.DIED: (NOTHING, PASS_ON),
    End.DIED_BESIDE: (NOTHING, PASS_ON),
    End.BLAMED: (UNLOCK, PASS_ON),
    End.DEQUEUED: (UNLOCK, PASS_ON),
    End.QUEUE_REMOVED: (DROP, TO_NO_QUEUE),
    End.RETRIED: (NOTHING, NOTHING),
    End.ENTRY_REMOVED: (NOTHING, NOTHING),
}


def marked(mode: str, *more: str, **members: Any) -> bytes:
    members["unique"] = [DIGEST, mode, *more]
    return payload.encode("test_ends", (1,), None, "id1", envelope=members)


@pytest.mark.parametrize("end", [end for end in End if end is not End.LOCKED_OUT])
def test_every_end_of_a_unique_job(end: End) -> None:
    """The lock is released by each end after which the job does not run again, once, and behind
    what moves the job."""
    of_enqueued, of_running = LOCKS[end]
    plain_way, plain = end_of(end)
    if end is End.DIED:
        plain = SUSPECT_1
    for raw in (marked("both"), marked("queued"), marked("both", "replace")):
        assert end_of(end, raw) == (plain_way, plain + of_enqueued)
    assert end_of(end, marked("running")) == (plain_way, plain + of_running)
    if end in DIRTY:  # and is not to run again
        for raw, released in ((marked("both"), UNLOCK), (marked("running"), PASS_ON)):
            by = rules(on_dirty_exit="fail")
            assert end_of(end, raw, by=by) == (Way.FAILED, FAILED + released)


def test_a_poisoned_job_releases_its_lock() -> None:
    raw = add_death(add_death(marked("both"), "vm:1"), "vm:2")
    assert end_of(End.DIED, raw) == (Way.POISON, FAILED + UNLOCK)


def test_a_failure_that_is_not_kept_releases_its_lock() -> None:
    job = EndedJob("mail", marked("both"))
    ending = effects_of(job, End.FAILED, declared(skip_failed_queue=True), rules(), lambda *_: b"")
    assert (ending.effects, ending.is_kept) == (UNLOCK, False)


def test_a_job_whose_lock_another_one_has_waits_for_it() -> None:
    member = "0" * 32
    raw = marked("running").replace(b'"id1"', b'"%b"' % member.encode())
    entry = b"17:resque:queue:mail" + raw
    assert end_of(End.LOCKED_OUT, raw) == (
        Way.SNOOZED,
        (
            Effect("snooze", "resque:later", 60_000, member, entry, "resque:later:jobs"),
            Effect("await", LOCK, "mail", member, second_key=("resque:queue:mail", *OF_WAITING)),
        ),
    )


# Another attempt

NOW = 1_800_000_000.0


def fails(
    raw: bytes = RAW,
    end: End = End.FAILED,
    error: BaseException | None = None,
    by: EndRules | None = None,
    **options: Any,
) -> tuple[Way, Effect, dict[str, Any]]:
    """What becomes of a job that raised: the way, its effect, and the envelope that goes on."""
    definition = declared(retry=retry_policy("test_ends", **options))
    job, error, by = EndedJob("mail", raw), error or ValueError("no"), by or rules()
    again = next_run(job, end, definition, by, error, NOW)
    attempt = Attempt(type(error).__name__, str(error), NOW, again)
    ending = effects_of(job, end, definition, by, lambda way, raw: raw, attempt)
    (effect,) = ending.effects
    return ending.way, effect, json.loads(ending.raw).get("gresque", {})


def test_a_job_with_attempts_left_waits_for_the_next_one() -> None:
    way, effect, envelope = fails(retries=1, backoff=2.5)
    assert (way, effect.kind, effect.key, effect.a) == (Way.RETRIED, "later", "resque:later", 2500)
    assert (effect.second_key, len(str(effect.b))) == ("resque:later:jobs", 32)
    assert isinstance(effect.c, bytes) and effect.c.startswith(b"17:resque:queue:mail{")
    assert (envelope["attempt"], envelope["run_at"]) == (2, NOW + 2.5)
    job_id = "01a219b9b2cf7f038901bb6c79dc1b61"
    assert fails(RAW.replace(b'"id1"', b'"%b"' % job_id.encode()), retries=1)[1].b == job_id


def test_without_a_delay_it_goes_to_the_end_of_its_queue() -> None:
    way, effect, envelope = fails(retries=1, backoff=0)
    assert (way, effect.kind, effect.key, effect.a) == (
        Way.RETRIED, "push", "resque:queue:mail", "mail",
    )  # fmt: skip
    assert envelope["attempt"] == 2
    way, effect, _ = fails(error=RetryLater(0))
    assert (way, effect.kind, effect.a) == (Way.SNOOZED, "snooze", 0)


@pytest.mark.parametrize("end", sorted(set(End) - TRIED_AGAIN, key=lambda end: end.name))
def test_after_no_other_end_it_is_tried_again(end: End) -> None:
    job = EndedJob("mail", RAW)
    definition = declared(retry=retry_policy("test_ends", retries=9))
    assert next_run(job, end, definition, rules(retries=9), ValueError(), NOW) is None


@pytest.mark.parametrize("raw", [b"", b"no json", b"[1]", BROKEN, b'{"class":5}'])
def test_what_cannot_count_its_attempts_fails(raw: bytes) -> None:
    """It would be tried for ever."""
    job = EndedJob("mail", raw)
    again = next_run(job, End.FAILED, None, rules(retries=9), ValueError(), NOW)
    attempt = Attempt("ValueError", "", NOW, again)
    ending = effects_of(job, End.FAILED, None, rules(), lambda way, raw: b"entry", attempt)
    odd = raw == BROKEN and b"attempt" in ending.raw
    assert (ending.way, ending.effects) == (Way.FAILED, FAILED) or odd


def test_the_deaths_of_its_processes_are_forgotten_when_it_ran_to_an_end() -> None:
    assert fails(TWICE, retries=1)[2].keys().isdisjoint({"recoveries", "deaths"})


def test_a_timeout_is_tried_again_and_a_kill_is_not() -> None:
    assert fails(end=End.TIMED_OUT, error=JobTimeout(), retries=1)[0] is Way.RETRIED
    assert fails(end=End.BLAMED, error=DirtyExit(), retries=1)[0] is Way.FAILED


def test_the_last_error_stands_in_the_entry_with_those_before_it() -> None:
    once = attempts.failed_attempt(RAW, "OSError", "one", NOW, 1)
    assert once is not None
    way, effect, _ = fails(once, retries=1)
    errors = json.loads(effect.a)["gresque"]["errors"]
    assert (way, [each["message"] for each in errors]) == (Way.FAILED, ["one", "no"])
    assert fails(retries=0)[1].a == RAW, "a job that was never retried stays as it is"


def test_a_job_whose_next_attempt_would_be_too_late_fails_now() -> None:
    for expires_at, way in ((NOW + 6, Way.RETRIED), (NOW + 5, Way.FAILED)):
        raw = payload.encode("test_ends", (1,), None, "id1", expires_at=expires_at)
        assert fails(raw, retries=3, backoff=5)[0] is way


def test_the_time_for_which_an_unknown_job_waits() -> None:
    for grace, since, waits in (
        (300, None, True),
        (300, 299, True),
        (300, 300, False),
        (0, None, False),
    ):
        raw = RAW if since is None else attempts.unknown_here(RAW, NOW - since, 5) or b""
        by = rules(unknown_grace_seconds=grace, retries=5)
        again = next_run(EndedJob("mail", raw), End.UNKNOWN, None, by, UnknownJob(), NOW)
        assert again == (Again(5.0, False) if waits else None)


@pytest.mark.parametrize("mode", ["queued", "both", "running"])
def test_a_lock_before_another_attempt(mode: str) -> None:
    """It outlives the wait; one that is held while the job runs is another job's turn."""
    ended = EndedJob("mail", marked(mode))

    def effects(seconds: float) -> tuple[Effect, ...]:
        attempt = Attempt("ValueError", "no", NOW, Again(seconds, counts=True))
        ending = effects_of(ended, End.FAILED, None, rules(), None, attempt)
        assert ending.way is Way.RETRIED
        return ending.effects

    carrier, of_lock = effects(90.0)
    assert carrier.kind == "later"
    prolonged = Effect("prolong", LOCK, "", "id1", 90_000)
    assert of_lock == (PASS_ON[0] if mode == "running" else prolonged)
    at_once = [each.kind for each in effects(0.0)]
    assert at_once == (["push", "pass_on"] if mode == "running" else ["push"])
