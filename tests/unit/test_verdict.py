"""The verdict: each rule with the trouble that it is for, and none without."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import redis

from gresque.clock import iso_8601
from gresque.inspector.collecting import Collecting
from gresque.inspector.rules.case import Case
from gresque.inspector.rules.failing import failing
from gresque.inspector.rules.processes import full, full_workers
from gresque.inspector.trends import TrendsReader
from gresque.inspector.verdict import Action, Line, Severity, Verdict, verdict_of
from gresque.inspector.verdict_rules import Judge, away
from gresque.inspector.verdict_rules import redis as server
from gresque.store.metric_fields import field
from gresque.store.store import Store
from tests.support.views import (
    OTHER,
    PROCESS,
    WORKER,
    clock,
    fail,
    grown,
    item,
    process,
    view,
    wait,
)


def judge(store: Store, between: Callable[[], None] = lambda: None) -> Verdict:
    """After two snapshots, and what happens between them."""
    collecting = Collecting(store, "redis")
    collecting.take(1)
    between()
    return collecting.take(2).verdict


def only(verdict: Verdict) -> Line:
    (line,) = verdict.lines
    return line


def plain(text: str) -> str:
    """How many seconds a test has taken does not matter."""
    return re.sub(r"\b\d+(\.\d)? s\b|\b\d+m\d\ds\b", "N s", text)


def test_all_is_well(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, item("A"), runs={"0": 9})
    wait(redis_client, "mail", item("A"))
    found = judge(store)
    assert (found.lines, found.count, found.heading) == ((), 0, "All is well")
    assert re.fullmatch(
        r"All is well\. 0/s, nothing waits over \S+( s| ms), no job was lost\.", found.calm
    )


def test_a_blocked_process(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, item("A", 8812), item("B"), item("C"), blocks=("0", 14))
    found = only(judge(store))
    assert (found.kind, found.severity, found.subject) == ("blocked", Severity.STOPPED, "vm:11")
    assert plain(found.text) == "A blocks its process N s, 2 wait"
    assert plain(found.sentence) == (
        "A(8812) has blocked vm:11 for N s; 2 other jobs of it stand still."
    )
    assert found.cause == "It stands in jobs.py:7:in `spin'."
    kill, stack = found.actions
    assert (kill.verb, kill.label, stack.verb) == ("kill", "kill", "stack")
    assert len(kill.target) == 32


def test_several_blocked_by_one_class(store: Store, redis_client: redis.Redis) -> None:
    for name in (PROCESS, OTHER):
        process(redis_client, name, item("A"), item("B"), blocks=("0", 14))
    found = only(judge(store))
    assert found.subject == "A"
    assert plain(found.text) == "blocks 2 processes up to N s, 2 wait"
    assert found.actions[0] == Action("kill_all", "class:A", "kill")


def test_a_server_that_is_nearly_full(store: Store) -> None:
    info = {"used_memory": 95, "maxmemory": 100, "role": "master"}
    (found,) = server(Case(view(store, server=info)))
    assert (found.subject, found.text[:24]) == ("Redis", "has taken 95% of its 0 M")
    info["used_memory"] = 80
    assert list(server(Case(view(store, server=info)))) == []


def test_redis_away() -> None:
    line = away("no answer from Redis at db:6379 (timeout)")
    assert line.text == "is away: db:6379 (timeout)"
    assert line.sentence == "No answer from Redis at db:6379 (timeout)."
    before = verdict_of([replace(line, kind=f"k{n}") for n in range(6)], "")
    found = before.with_first(line)
    assert (found.lines[0], len(found.lines), found.more, found.count) == (line, 6, 1, 7)
    assert found.with_first(line).count == 7, "it is not said twice"


def test_a_process_that_stands_still(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, item("A"), still=20)
    found = only(judge(store))
    assert plain(found.text) == "stands still for N s: stopped, or it hangs"
    assert found.actions == (Action("workers", PROCESS, "show"),)


def test_a_silent_process(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, item("A"), item("B"), beat_age=30)
    process(redis_client, OTHER)
    found = only(judge(store))
    assert (found.kind, found.severity, found.subject) == ("silent", Severity.SILENT, "vm:11")
    assert plain(found.text) == "silent for N s; 2 jobs back in N s"
    assert plain(found.cause) == "Its 2 jobs go back to the queues in N s."


def test_a_silent_process_without_jobs(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, beat_age=30)
    assert judge(store).lines == ()


def count(client: redis.Redis, now: int, before: int, failed_before: int = 0) -> None:
    """A class that failed this often in the current minute, and ran in the hour before."""
    minute = int(clock(client)) // 60
    done, failed = field("d", "sync", "Pull"), field("f", "sync", "Pull")
    client.hset(f"resque:metrics:minute:{minute}", mapping={
        failed: now, done: 10, field("x", "sync", "Pull", "ConnectTimeout"): now,
    })  # fmt: skip
    client.hset(
        f"resque:metrics:minute:{minute - 20}", mapping={done: before, failed: failed_before}
    )
    client.hset(f"resque:metrics:ten:{minute // 10}", mapping={"d": before, "f": now})


class TestFailing:
    def test_a_class_that_fails_more_often(self, store: Store, redis_client: redis.Redis) -> None:
        count(redis_client, 30, before=1000, failed_before=1)
        at = int((clock(redis_client) // 60 * 60 - 30) * 1000)
        redis_client.xadd(
            "resque:marks", {"kind": "mark", "text": "deploy 8f31c2", "by": "ana"}, id=f"{at}-0"
        )
        found = only(judge(store))
        assert (found.severity, found.subject) == (Severity.FAILING, "Pull")
        assert found.text == "30 ConnectTimeout in 1m, since deploy 8f31c2"
        assert found.sentence == (
            "Pull: 30 ConnectTimeout in 1 min, 75 % of its runs; 0.1 % before."
        )
        assert found.cause == "It began after deploy 8f31c2."
        assert [(each.verb, each.target) for each in found.actions] == [
            ("failed", "class:Pull"), ("pause", "sync"),
        ]  # fmt: skip

    def test_runs_before_they_began_do_not_count(
        self, store: Store, redis_client: redis.Redis
    ) -> None:
        count(redis_client, 30, before=1000)
        minute = int(clock(redis_client)) // 60
        for number in range(minute - 4, minute):
            redis_client.hset(f"resque:metrics:minute:{number}", field("d", "sync", "Pull"), 80)
        assert only(judge(store)).sentence == (
            "Pull: 30 ConnectTimeout in 1 min, 75 % of its runs; none before."
        )

    def test_what_its_jobs_wait_on(self, store: Store, redis_client: redis.Redis) -> None:
        count(redis_client, 30, before=1000)

        case = Case(
            view(store),
            TrendsReader(store).read(clock(redis_client)).failing,
            waits_of=lambda job: Counter({"api.example:443": 812, "a lock": 3}),
        )
        (found,) = failing(case)
        assert found.cause == "812 running jobs of it wait on api.example:443."
        assert found.actions[1].target == "class:Pull waits:api.example:443"

    @pytest.mark.parametrize(
        ("now", "failed_before"), [(4, 0), (8, 200)], ids=["few", "as often as before"]
    )
    def test_what_is_no_news(
        self, store: Store, redis_client: redis.Redis, now: int, failed_before: int
    ) -> None:
        count(redis_client, now, before=1000, failed_before=failed_before)
        assert judge(store).lines == ()

    def test_an_incident_is_named_for_as_long_as_it_goes_on(
        self, store: Store, redis_client: redis.Redis
    ) -> None:
        minute = int(clock(redis_client)) // 60
        done, failed = field("d", "sync", "Pull"), field("f", "sync", "Pull")
        for number in range(minute - 60, minute + 1):
            share = {done: 7, failed: 3} if number > minute - 45 else {done: 10}
            redis_client.hset(f"resque:metrics:minute:{number}", mapping=share)
        redis_client.hset(f"resque:metrics:ten:{minute // 10}", mapping={"d": 70, "f": 30})
        assert re.fullmatch(
            r"Pull: 1\d errors in 5 min, 30 % of its runs, for 4[3-5] min now; none before\.",
            only(judge(store)).sentence,
        )

    def test_a_class_that_mostly_fails_is_named_in_any_case(
        self, store: Store, redis_client: redis.Redis
    ) -> None:
        count(redis_client, 30, before=100, failed_before=90)
        assert only(judge(store)).sentence.endswith("75 % of its runs; 47 % before.")

    def test_kills_are_no_fault_of_a_class(self, store: Store, redis_client: redis.Redis) -> None:
        count(redis_client, 30, before=1000)
        key = f"resque:metrics:minute:{int(clock(redis_client)) // 60}"
        redis_client.hset(key, field("x", "sync", "Pull", "DirtyExit"), 30)
        redis_client.hdel(key, field("x", "sync", "Pull", "ConnectTimeout"))
        assert judge(store).lines == ()

    def test_without_metrics(self, store: Store, redis_client: redis.Redis) -> None:
        fail(redis_client, "Often", 30)
        found = only(judge(store))
        assert (found.subject, found.text) == ("Often", "30 ValueError in 5m")
        assert found.actions == (Action("failed", "class:Often", "show"),)


def die(client: redis.Redis, number: int, poison: int = 0) -> None:
    at = iso_8601(clock(client) - 5)
    entry = {"at": at, "process": PROCESS, "cause": "killed by SIGKILL", "by": "vm:1",
             "requeued": 2, "failed": 1, "poison": poison}  # fmt: skip
    client.rpush("resque:recoveries", *[json.dumps(entry)] * number)


def test_poison(store: Store, redis_client: redis.Redis) -> None:
    die(redis_client, 1, poison=1)
    fail(redis_client, "Media", 1, exception="PoisonJob")
    found = only(judge(store))
    assert (found.kind, found.severity, found.subject) == ("poison", Severity.FAILING, "Media")
    assert found.text == "killed its processes and was failed as PoisonJob, 1 time in 5m"
    assert found.cause == "The last process died: killed by SIGKILL."


def test_processes_that_die(store: Store, redis_client: redis.Redis) -> None:
    """As `gresque status` says: one rule for both."""
    die(redis_client, 1)
    found = only(judge(store))
    assert (found.title, found.severity) == ("A process died", Severity.LATE)
    assert found.text == "1 died in 5m, the last one vm:11: killed by SIGKILL"
    assert found.cause == "Killed by SIGKILL. 2 jobs went back to the queues."
    die(redis_client, 14)
    found = only(judge(store))
    assert (found.title, found.severity) == ("Processes die", Severity.STOPPED)
    assert found.sentence == "15 processes died in the last 5 minutes, the last one vm:11."


class TestBehind:
    def late(self, store: Store, client: redis.Redis, **policy: str) -> Line:
        process(client, PROCESS, *[item("A")] * 4)
        wait(client, "mail", item("A", age=372))
        for name, words in policy.items():
            client.hset("resque:policies", name, words)
        return only(judge(store, lambda: wait(client, "mail", *[item("A")] * 100)))

    def test_all_threads_are_taken(self, store: Store, redis_client: redis.Redis) -> None:
        found = self.late(store, redis_client)
        assert (found.kind, found.severity, found.subject) == ("behind", Severity.LATE, "mail")
        assert re.fullmatch(
            r"is 6m\d\ds behind and grows by [\d,]+/s: all 4 threads taken", found.text
        )
        assert found.cause == "All 4 threads that serve it are taken."
        assert found.actions[0] == Action("running", "queue:mail", "running")

    def test_its_cap(self, store: Store, redis_client: redis.Redis) -> None:
        redis_client.hset("resque:inflight", "mail", 20)
        found = self.late(store, redis_client, mail="c20")
        assert found.text.endswith("/s: its cap is 20")
        assert found.cause == "Its cap of 20 holds it: 20 run."
        assert found.actions[0] == Action("limit", "mail", "raise")

    def test_its_pause(self, store: Store, redis_client: redis.Redis) -> None:
        found = self.late(store, redis_client, mail="p")
        assert found.actions[0] == Action("unpause", "mail", "unpause")

    def test_one_that_does_not_grow(self, store: Store, redis_client: redis.Redis) -> None:
        process(redis_client, PROCESS, item("A"))
        wait(redis_client, "mail", item("A", age=372))
        assert judge(store).lines == ()


def test_a_queue_that_nobody_works(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client)
    wait(redis_client, "other", item("A", age=20))
    found = only(judge(store))
    assert (found.kind, found.subject) == ("unserved", "other")
    assert plain(found.text) == "is worked by nobody: 1 wait, the oldest N s"


def test_no_worker(store: Store, redis_client: redis.Redis) -> None:
    wait(redis_client, "other", item("A", age=20))
    found = only(judge(store))
    assert f"{found.subject} {found.text}" == "no worker runs: 1 job in 1 queue"


def test_all_threads_taken(store: Store, redis_client: redis.Redis) -> None:
    for name in (PROCESS, OTHER):
        process(redis_client, name, *[item("A")] * 4)
    wait(redis_client, "mail", item("A"))
    assert list(full(Case(view(store), full_since={WORKER: 1.0}))) == [], "nothing waits for long"
    redis_client.lset("resque:queue:mail", 0, item("A", age=15))
    look = view(store)
    since = full_workers(look, {})
    assert since == {WORKER: look.at}
    assert full_workers(look, {WORKER: 5.0}) == {WORKER: 5.0}, "the first time counts"
    assert list(full(Case(look, full_since=since))) == []
    (found,) = full(Case(look, full_since={WORKER: look.at - 40}))
    assert (found.subject, found.text) == ("vm:10", "all 8 threads taken for 40.0 s, 1 wait")
    redis_client.hdel(f"resque:ledger:{OTHER}", "0")
    assert full_workers(view(store), since) == {}


def test_a_queue_that_is_late_is_said_once(store: Store, redis_client: redis.Redis) -> None:
    for name in (PROCESS, OTHER):
        process(redis_client, name, *[item("A")] * 4)
    wait(redis_client, "mail", item("A", age=90), item("A"))
    case = Case(grown(view(store), mail=1), full_since={WORKER: 1.0})
    assert [line.kind for line in Judge().verdict(case, "").lines] == ["behind"]


def test_scheduled_jobs_that_are_late(store: Store, redis_client: redis.Redis) -> None:
    redis_client.zadd("resque:later", {"a": (time.time() - 90) * 1000})
    found = only(judge(store))
    assert plain(found.text) == "are up to N s late, 1 of them"
    assert found.actions == (Action("delayed", "", "show"),)


def test_the_worst_first_and_at_most_six(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, item("A"), blocks=("0", 9))
    for number in range(8):
        wait(redis_client, f"q{number}", item("A", age=20))
    found = judge(store)
    assert [line.kind for line in found.lines] == ["blocked"] + ["unserved"] * 5
    assert (found.more, found.heading) == (3, "9 things are wrong")


def test_hostile_names(store: Store, redis_client: redis.Redis) -> None:
    bad = "\x1b[31m\u202e\x00"
    process(redis_client, PROCESS, item(bad), item("B"), blocks=("0", 9))
    wait(redis_client, bad, item(bad, age=20))
    fail(redis_client, bad, 30, exception=bad, error=bad)
    found = judge(store)
    assert len(found.lines) == 3
    for line in found.lines:
        assert (line.subject + line.text + line.sentence + line.cause).isprintable(), line
