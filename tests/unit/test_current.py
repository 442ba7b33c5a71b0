from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import pytest

import gresque
from gresque.client.client import Client
from gresque.jobs.attempts import failed_attempt
from gresque.jobs.current import CurrentJob
from gresque.jobs.ids import new_id
from gresque.schedule.entry import Entry


def test_a_job_of_gresque() -> None:
    job_id = new_id()
    envelope = b'"gresque":{"attempt":2,"recoveries":4}'
    raw = b'{"class":"m.f","args":[{}],"id":"%b","generation":3,%b}' % (job_id.encode(), envelope)
    job = CurrentJob("mail", raw)
    assert (job.id, job.name, job.queue) == (job_id, "m.f", "mail")
    assert (job.attempt, job.generation, job.recoveries) == (2, 3, 4)
    assert job.enqueued_at == pytest.approx(time.time(), abs=60)
    assert job.fields == {"job_id": job_id, "job": "m.f", "queue": "mail", "attempt": 2}
    assert repr(job) == f"<CurrentJob m.f {job_id} from mail>"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b'{"class":"Ruby::Job","args":[1]}', (None, "Ruby::Job")),
        (b'{"class":"f","id":7,"generation":true,"gresque":{"attempt":"x","recoveries":-1}}',
         ("7", "f")),
        (b'{"class":"f","gresque":5}', (None, "f")),
        (b"no json", (None, "")),
        (b"\xff", (None, "")),
        (b"[" * 100_000, (None, "")),
    ],
    ids=["stock", "odd types", "odd envelope", "no json", "no utf-8", "deep"],
)  # fmt: skip
def test_any_payload(raw: bytes, shown: tuple[str | None, str]) -> None:
    job = CurrentJob("q", raw)
    assert (job.id, job.name) == shown
    assert (job.attempt, job.generation, job.recoveries, job.enqueued_at) == (1, 1, 0, None)


def test_its_attempts() -> None:
    gresque.job("q", name="CurrentRetried", retries=2)(print)
    gresque.job("q", name="CurrentTimed", retry_for_seconds=60)(print)
    raw: bytes | None = b'{"class":"CurrentRetried"}'
    seen = []
    for number in range(3):
        assert raw is not None
        job = CurrentJob("q", raw)
        seen.append((job.attempt, job.last_attempt, [each.message for each in job.history]))
        assert job.first_failed_at == (1.8e9 if number else None)
        raw = failed_attempt(raw, "E", str(number), 1.8e9 + number, 16)
    assert seen == [(1, False, []), (2, False, ["0"]), (3, True, ["0", "1"])]
    assert CurrentJob("q", b'{"class":"of another program"}').last_attempt
    assert not CurrentJob("q", b'{"class":"x","gresque":{"retries":1}}').last_attempt
    for age, last in ((1, False), (61, True)):
        envelope = b'{"attempt":2,"first_failed_at":%f}' % (time.time() - age)
        timed = CurrentJob("q", b'{"class":"CurrentTimed","gresque":%b}' % envelope)
        assert timed.last_attempt is last


def test_the_tick_of_its_schedule() -> None:
    entry = Entry(name="a", cron="30 2 * * *", tz="Europe/Berlin", job="A", queue="q")
    _, raw = entry.make_job(1_795_829_400_000, 0.0) or ("", b"")
    found = CurrentJob("q", raw).scheduled_for
    assert found is not None and found.isoformat() == "2026-11-28T02:30:00+01:00"
    for text, expected in (
        ('"2026-11-28T02:30:00"', datetime(2026, 11, 28, 2, 30, tzinfo=UTC)),
        ('"soon"', None), ("5", None), ("null", None),
    ):  # fmt: skip
        raw = b'{"class":"A","args":[],"gresque":{"scheduled_for":%b}}' % text.encode()
        assert CurrentJob("q", raw).scheduled_for == expected
    assert CurrentJob("q", b'{"class":"A","args":[]}').scheduled_for is None


def test_its_logger_adds_the_fields_and_yields_to_those_given(
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = CurrentJob("q", b'{"class":"m.f","id":"a"}')
    job.log.warning("text %d", 1, extra={"queue": "mine", "more": 2})
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("m.f", "text 1")
    found = {name: vars(record)[name] for name in ("job_id", "job", "queue", "attempt", "more")}
    assert found == {"job_id": "a", "job": "m.f", "queue": "mine", "attempt": 1, "more": 2}


def test_inline_jobs_are_current_while_they_run() -> None:
    seen = []

    class Inner(gresque.Job):
        name, queue = "CurrentInner", "inner"

        def perform() -> None:
            seen.append(gresque.current_job())
            raise ValueError("as told")

        def on_failure(error: BaseException) -> None:
            seen.append(gresque.current_job())

    client = Client(inline=True)
    assert gresque.current_job() is None
    with pytest.raises(ValueError, match="as told"):
        client.enqueue(Inner)
    assert gresque.current_job() is None
    first, second = seen
    assert first is second
    assert first is not None
    assert (first.queue, first.name) == ("inner", "CurrentInner")


def test_none_in_another_program() -> None:
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(gresque.current_job()))
    thread.start()
    thread.join()
    assert seen == [None]
