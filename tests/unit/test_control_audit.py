"""The audit log: every act writes who did it, from where, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

import gresque
from gresque.client.client import Client
from gresque.client.delayed import DelayedJobs
from gresque.client.when import delay
from gresque.control import delayed, flow, locks, queues, remove, retry, schedules
from gresque.control.audit import By, acting, some
from gresque.control.kill import kill_all
from gresque.control.targets import Target
from gresque.errors import ScheduleError
from gresque.failure.backend import RedisBackend
from gresque.failure.search import Wanted
from gresque.inspector.audit import AuditEntry, read_audit
from gresque.inspector.filters import OF_FAILED, WantedFailed, parse
from gresque.inspector.running import RunningJob
from gresque.store.store import Store
from tests.support.cli import Call, fail
from tests.support.views import PROCESS, item, process


@gresque.job(queue="mail", name="audit.noop")
def noop(number: int) -> None: ...


BY = By("ana", "web 10.0.0.3")


@pytest.fixture
def client(redis_url: str) -> Iterator[Client]:
    found = Client(redis_url)
    yield found
    found.close()


def entries(store: Store, count: int = 50) -> list[tuple[str, str, int, str]]:
    """The entries, the oldest first."""
    found = read_audit(store, count)
    assert {(each.by, each.place) for each in found} <= {("ana", "web 10.0.0.3")}
    return [(each.verb, each.target, each.count, each.outcome) for each in reversed(found)]


def test_queues(store: Store, redis_client: redis.Redis) -> None:
    flow.pause(store, "mail", by=BY)
    flow.pause(store, "mail", by=BY)
    flow.unpause(store, "mail", by=BY)
    flow.unpause_all(store, by=BY)
    flow.limit(store, "mail", 20, None, by=BY)
    redis_client.rpush("resque:queue:mail", item("A", 1), item("A", 2), item("A", 3))
    queues.move_jobs(store, "mail", "low", 2, by=BY)
    queues.clear_jobs(store, "mail", 5, by=BY)
    assert entries(store) == [
        ("pause", "queue mail", 1, "done"),
        ("pause", "queue mail", 0, "was paused already"),
        ("unpause", "queue mail", 1, "done"),
        ("unpause", "all queues", 0, "were not paused"),
        ("limit", "queue mail", 1, "at most 20 jobs at once; before: no limits"),
        ("queues move", "queue mail to low", 2, "done"),
        ("queues clear", "queue mail", 1, "done"),
    ]


def test_failed_jobs(store: Store, redis_client: redis.Redis) -> None:
    backend = RedisBackend(store)
    fail(redis_client, 1, 2, 3, 4, 5)
    jobs = list(backend.newest(0, 5))
    retry.retry_failed(backend, jobs[:1], by=BY)
    remove.remove_failed(backend, jobs[:2], by=BY)
    retry.retry_all_failed(backend, WantedFailed(filter=parse('"error 2"', OF_FAILED)), by=BY)
    remove.clear_retried(backend, by=BY)
    remove.remove_all_failed(backend, Wanted(job_class="Greet", text="error 3"), by=BY)
    remove.remove_oldest_failed(backend, {"": 5}, by=BY)
    fifth, fourth = f"failed job {5:032x} Greet", f"failed job {4:032x} Greet"
    assert entries(store) == [
        ("failed retry", fifth, 1, "done"),
        ("failed remove", f"{fifth}, {fourth}", 1, "1 were not in their place any more"),
        ("failed retry", 'all failed jobs: "error 2"', 1, "done"),
        ("failed clear", "failed jobs that were retried", 2, "done"),
        ("failed remove", "failed jobs with class Greet, text error 3", 1, "done"),
        ("failed clear", "the oldest failed jobs", 1, "done"),
    ]


def test_delayed_jobs(store: Store, client: Client) -> None:
    ids = [client.enqueue_in(60, noop, number) for number in range(3)]
    jobs = DelayedJobs(store)
    found = [job for job in map(jobs.find, map(str, ids)) if job is not None]
    assert [each.done for each in delayed.run_now(store, found[:1], by=BY)] == [True]
    assert delayed.put_off(store, found[1:2], delay(90), by=BY)[0].done
    outcome = delayed.cancel(store, found[:2], by=BY)
    assert [each.reason for each in outcome] == ["it does not wait for its time", ""]
    assert delayed.cancel(store, found[2:], by=BY, verb="retries cancel")[0].done
    assert delayed.cancel(store, [], by=BY) == []
    assert [(verb, count) for verb, _, count, _ in entries(store)] == [
        ("delayed run", 1), ("delayed move", 1), ("delayed cancel", 1), ("retries cancel", 1),
    ]  # fmt: skip
    assert entries(store)[2][3] == "it does not wait for its time"


def test_the_schedule_and_locks(store: Store, client: Client) -> None:
    client.schedules.set("nightly", job="A", queue="mail", every=3600)
    job_id = schedules.run_now(store, "nightly", by=BY)
    assert schedules.pause(store, "nightly", by=BY) and not schedules.pause(store, "nightly", by=BY)
    assert schedules.resume(store, "nightly", by=BY)
    schedules.remove(store, "nightly", by=BY)
    with pytest.raises(ScheduleError):
        schedules.run_now(store, "nightly", by=BY)
    assert locks.release(store, "k", by=BY) == []
    *before, missing, lock = entries(store)
    assert before == [
        ("cron run", "schedule nightly", 1, f"enqueued job {job_id}"),
        ("cron pause", "schedule nightly", 1, "done"),
        ("cron pause", "schedule nightly", 0, "was paused already"),
        ("cron resume", "schedule nightly", 1, "done"),
        ("cron remove", "schedule nightly", 1, "done"),
    ]
    assert missing[3].startswith("failed: ")
    assert lock == ("locks release", "lock k", 0, "no lock has this key")


def test_kills(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, item("A", 0))
    (held,) = [job.held for job in RunningJob.all(store)]
    kill_all(store, [Target("x" * 32, held)], by=BY, wait_seconds=0)
    assert kill_all(store, [], by=BY, wait_seconds=0) == []
    (found,) = entries(store)
    assert found == ("kill", f"job {'x' * 32} in vm:11", 1, "1 requested")


def test_what_fails_or_is_cut_off_is_written_too(store: Store) -> None:
    for error in (ValueError("no\nway"), KeyboardInterrupt()):
        with pytest.raises(type(error)), acting(store, BY, "pause", "x" * 1000) as act:
            act.count = 2
            raise error
    failed, cut = entries(store)
    assert failed[2:] == (2, "failed: no\nway")
    assert cut[2:] == (2, "interrupted after 2 changes")
    assert len(cut[1]) == 500


def test_an_audit_log_of_another_type_hides_no_outcome(
    store: Store, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.set("resque:audit", "mine")
    assert flow.pause(store, "mail", by=BY)
    assert "has no entry for what ana did (pause queue mail)" in caplog.text
    assert read_audit(store) == []


def test_a_server_that_is_away_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By the error of an action that changed nothing."""
    with closing(Store(f"unix://{tmp_path}/none.sock", "resque")) as away:
        with pytest.raises(redis.ConnectionError):
            flow.pause(away, "mail", by=BY)
        assert "has no entry" not in caplog.text
        with pytest.raises(redis.ConnectionError), acting(away, BY, "kill", "2 jobs") as act:
            act.count = 1
            raise redis.ConnectionError
    assert "has no entry for what ana did (kill 2 jobs)" in caplog.text


def test_reading_in_pages(store: Store, redis_client: redis.Redis) -> None:
    for number in range(5):
        with acting(store, By(f"user{number}\udcff", "cli"), "pause", "queue mail"):
            pass
    newest = read_audit(store, 2)
    assert [each.by for each in newest] == ["user4\udcff", "user3\udcff"]
    older = read_audit(store, 9, before=newest[-1].id)
    assert [each.by[:5] for each in older] == ["user2", "user1", "user0"]
    assert [each.by[:5] for each in read_audit(store, 9, text="USER1")] == ["user1"]
    assert len(read_audit(store, before="no id")) == 5
    assert abs(newest[0].at - store.now()) < 60
    redis_client.xadd("resque:audit", {"count": "many"})
    assert read_audit(store, 1)[0].count == 0


def test_the_log_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gresque.store.audit.KEPT", 10)
    for _ in range(250):
        flow.pause(store, "mail", by=BY)
    assert len(read_audit(store, 1000)) < 120


def test_names_in_a_few_words() -> None:
    assert some([]) == ""
    assert some(["a", "b"]) == "a, b"
    assert some([*"abcde"]) == "a, b, c and 2 more"


def test_the_command(store: Store, call: Call) -> None:
    assert call("audit").out == "no entries in the audit log\n"
    assert call("pause", "mail").code == 0
    (entry,) = read_audit(store)
    assert isinstance(entry, AuditEntry)
    assert "@" in entry.by and entry.place == "cli"
    code, out, _ = call("audit")
    assert code == 0
    assert "ACTION" in out and "queue mail" in out
    assert call("audit", "--search", "nothing").out == "no such entries in the audit log\n"
    assert '"verb": "pause"' in call("audit", "--json").out
