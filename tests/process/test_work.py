"""The whole path, through real masters and worker processes."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest

from gresque.failure.entry import decode_entry
from tests.process.support import Bench, account, shows, wait_for

WIRE = Path(__file__).parents[1] / "wire"


def ruby_items() -> list[bytes]:
    """Every queue item of the captures of real Resque."""
    items = []
    for name in ("fork_queue_items_variants.jsonl", "stock_queue_items_variants.jsonl"):
        items += (WIRE / name).read_bytes().split(b"\n")
    return [item for item in items if item]


def test_ruby_payloads_each_run_exactly_once(bench: Bench) -> None:
    captured = ruby_items()
    made = [
        b'{"class":"Noop","args":[%d],"id":"%032x","generation":1}' % (n, n)
        for n in range(2950 - len(captured))
    ]
    bad = [b'{"class":"Boom","args":["bad %d"]}' % n for n in range(50)]
    bench.push_raw("q", *captured, *made, *bad)

    arguments = ["-q", "q", "-w", "2", "-t", "50", "-j", "1000", "--burst"]
    master = bench.run(*arguments, fresh=True)

    # A stock item has no id and is counted under its text, which stands once in the captures.
    runs = bench.runs()
    assert len(runs) == 2950
    assert set(runs.values()) == {1}
    assert bench.stat("processed") == 3000
    assert bench.stat("failed") == 50
    assert bench.redis.llen("resque:failed") == 50
    assert bench.held() == 0
    assert account(master.log).ended == {"done": 2950, "failed": 50, "retried": 0}
    assert bench.keys() == {
        "resque:queues",
        "resque:failed",
        "resque:stat:processed",
        "resque:stat:failed",
    }


def test_the_defaults_fork_for_every_job(bench: Bench) -> None:
    for n in range(5):
        bench.client.enqueue_to("q", "Count", str(n))
    master = bench.run("-q", "q", "--interval", "0", "-v", fresh=True)
    assert bench.runs() == {str(n): 1 for n in range(5)}
    assert master.log.count("left: reserved 1 = 1 done") == 5


BAD_ITEMS = {
    "not JSON": (b"{nonsense", "InvalidPayload"),
    "empty": (b"", "InvalidPayload"),
    "no object": (b"[1,2]", "InvalidPayload"),
    "no class": (b'{"args":[1]}', "InvalidPayload"),
    "class is no text": (b'{"class":7,"args":[]}', "InvalidPayload"),
    "args are no list": (b'{"class":"Noop","args":{"a":1}}', "InvalidPayload"),
    "unknown job": (b'{"class":"os.system","args":["true"]}', "UnknownJob"),
    "too few arguments": (b'{"class":"Boom","args":[]}', "TypeError"),
    "too many arguments": (b'{"class":"Boom","args":[1,2,3]}', "TypeError"),
    "unknown keyword": (b'{"class":"Boom","args":["x",{"y":1,"_kwargs":true}]}', "TypeError"),
    "keywords beside args": (b'{"class":"Noop","args":[],"kwargs":{"y":1}}', "InvalidPayload"),
    "not UTF-8": (b'{"class":"Noop","args":["\xff\xfe"]}', "InvalidPayload"),
    "binary": (bytes(range(256)), "InvalidPayload"),
    "10 MB": (b'{"class":"Noop","args":["%s"]}' % (b"x" * 10_000_000), "PayloadTooLarge"),
    "nested 10,000 deep": (
        b'{"class":"Noop","args":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        "InvalidPayload",
    ),
    "a number out of range": (b'{"class":"Noop","args":[1e999]}', "InvalidPayload"),
}


def test_bad_items_end_in_failed_with_the_raw_item_and_the_worker_goes_on(bench: Bench) -> None:
    bench.push_raw("q", *(raw for raw, _ in BAD_ITEMS.values()))
    bench.client.enqueue_to("q", "Count", "still working")
    grace = {"UNKNOWN_JOB_GRACE_SECONDS": "0"}
    bench.run("-q", "q", "-t", "4", "-j", "1000", "--burst", **grace)

    assert bench.runs() == {"still working": 1}
    assert bench.stat("failed") == len(BAD_ITEMS)
    assert bench.stat("processed") == len(BAD_ITEMS) + 1
    entries = bench.failed()
    kept = {entry.item(): entry.exception for entry in entries}
    for name, (raw, exception) in BAD_ITEMS.items():
        # A JSON object is kept as such, so its spaces may go; nothing else is touched.
        assert kept.pop(raw) == exception, name
    assert not kept


@pytest.mark.parametrize("how", ["exit", "greenlet_exit"])
def test_a_job_that_tries_to_leave_is_a_failure(bench: Bench, how: str) -> None:
    bench.client.enqueue_to("q", "Behave", how)
    bench.client.enqueue_to("q", "Behave", "ok")
    bench.run("-q", "q", "-t", "2", "-j", "100", "--burst")
    (entry,) = map(decode_entry, bench.redis.lrange("resque:failed", 0, -1))
    assert entry.exception in ("SystemExit", "greenlet.GreenletExit")


def test_a_failure_has_an_entry_that_ruby_reads(bench: Bench) -> None:
    bench.push_raw("bench", b'{"class":"Boom","args":["x"],"id":"1002","generation":1}')
    bench.run("-q", "bench", "--burst")
    entry = json.loads(bench.redis.lindex("resque:failed", 0))
    captured = json.loads((WIRE / "fork_failed_entry.json").read_bytes())
    assert list(entry) == list(captured)
    assert entry["payload"] == {"class": "Boom", "args": ["x"], "id": "1002", "generation": 1}
    assert (entry["exception"], entry["error"]) == ("ValueError", "x")
    assert entry["queue"] == "bench"
    assert entry["failed_at"].endswith(" UTC") and len(entry["failed_at"]) == 23
    assert entry["backtrace"][0].startswith(str(Path(__file__).with_name("jobs.py")))
    assert entry["backtrace"][0].endswith(":in `boom'")
    _host, _pid, queues, *tiers = entry["worker"].split(":")
    assert (queues, tiers) == ("bench", ["1", "1", "1"])


def test_hooks_run_in_resques_order(bench: Bench) -> None:
    for argument in ("run", "skip", "fail"):
        bench.client.enqueue_to("q", "Hooked", argument)
    bench.run("-q", "q", "-j", "10", "--burst")
    assert [hook.decode() for hook in bench.redis.lrange("hooks", 0, -1)] == [
        *("before_a", "before_b", "around_in", "perform", "around_out", "after"),
        "before_a",
        *("before_a", "before_b", "around_in", "perform", "failure:hooked:('fail',)"),
    ]
    assert (bench.stat("processed"), bench.stat("failed")) == (3, 1)


def test_queues_are_served_in_strict_priority_and_globs_find_new_ones(bench: Bench) -> None:
    for queue in ("low", "mail-b", "mail-a", "slow", "high"):
        bench.client.enqueue_to(queue, "Behave", "fail", queue)
    bench.run("-q", "high,mail-*,*,!slow", "-j", "100", "--burst")
    failed = [decode_entry(raw).error for raw in bench.redis.lrange("resque:failed", 0, -1)]
    assert failed == ["high", "mail-a", "mail-b", "low"]
    assert bench.client.size("slow") == 1


def test_an_idle_worker_hears_of_new_jobs_and_new_queues(bench: Bench) -> None:
    # So long an interval that polling could not be what finds the jobs.
    bench.start("-q", "*", "-t", "5", "-j", "1000", "--interval", "600")
    wait_for(lambda: bench.redis.zcard("resque:ledgers"))
    for n in range(20):
        bench.push_raw(f"new-{n}", b'{"class":"Count","args":["%d"]}' % n)
        wait_for(lambda n=n: bench.runs().get(str(n)))  # type: ignore[misc]


def test_a_burst_works_what_its_own_jobs_enqueue(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Behave", "enqueue")
    # By flag: what a job enqueues goes where its worker works, not to the default Redis.
    flags = ["--redis", bench.redis_url]
    bench.run("-q", "q", "-j", "100", "--burst", *flags)
    assert bench.redis.lrange("started", 0, -1) == [b"enqueue", b"ok"]


@pytest.mark.parametrize("tiers", [("2", "1", "1"), ("1", "2", "1"), ("2", "5", "3")])
def test_a_burst_ends_with_nothing_left_however_late_it_is_enqueued(
    bench: Bench, tiers: tuple[str, str, str]
) -> None:
    bench.client.enqueue_to("q", "Behave", "enqueue_late", 20)
    workers, threads, jobs = tiers
    bench.run("-q", "q", "-w", workers, "-t", threads, "-j", jobs, "--burst")
    assert bench.client.size("q") == 0
    assert bench.redis.lrange("started", 0, -1).count(b"ok") == 20


@pytest.mark.parametrize("threads", ["1", "10"])
def test_retired_processes_are_replaced(bench: Bench, threads: str) -> None:
    for n in range(100):
        bench.client.enqueue_to("q", "Count", str(n))
    master = bench.run("-q", "q", "-t", threads, "-j", "10", "--burst", "-v")
    assert bench.runs() == {str(n): 1 for n in range(100)}
    assert master.log.count(" ready") >= 10


def test_without_preloading(bench: Bench) -> None:
    for n in range(10):
        bench.client.enqueue_to("q", "Count", str(n))
    bench.run("-q", "q", "-t", "3", "-j", "5", "--burst", "--no-preload")
    assert bench.runs() == {str(n): 1 for n in range(10)}


# Shutting down


def test_term_puts_running_jobs_back_at_once(bench: Bench) -> None:
    for n in range(4):
        bench.client.enqueue_to("q", "Behave", "sleep", 60 + n)
    bench.client.enqueue_to("q", "FailWhenCut", 60)
    before = bench.redis.lrange("resque:queue:q", 0, -1)
    master = bench.start("-q", "q", "-w", "2", "-t", "3", "-j", "1000", fresh=True)
    wait_for(lambda: bench.redis.llen("started") == 5)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert sorted(bench.redis.lrange("resque:queue:q", 0, -1)) == sorted(before[:4])
    (entry,) = map(decode_entry, bench.redis.lrange("resque:failed", 0, -1))
    assert (entry.exception, entry.item()) == ("DirtyExit", before[4])
    assert bench.redis.llen("ended") == 4  # their `finally` ran
    assert "reserved 5 = 0 done + 1 failed + 4 requeued" in master.log
    assert bench.held() == 0


def test_quit_lets_running_jobs_finish_and_takes_no_new_ones(bench: Bench) -> None:
    for n in range(10):
        bench.client.enqueue_to("q", "CountWhenLet", str(n))
    master = bench.start("-q", "q", "-t", "4", "-j", "1000")
    wait_for(lambda: bench.begun() == 4)
    master.signal(signal.SIGQUIT)
    wait_for(lambda: shows(master, "draining"))
    bench.let()
    assert master.wait() == 0
    assert len(bench.runs()) == 4
    assert bench.client.size("q") == 6
    assert "reserved 4 = 4 done" in master.log


def test_a_job_that_comes_with_the_reply_after_a_term_goes_back(bench: Bench) -> None:
    """The turn that reserves it was sent before."""
    master = bench.start("-q", "q", "-t", "3", "-j", "1000", "--term-timeout", "6")
    wait_for(lambda: bench.redis.exists("resque:listening:q"))
    with bench.redis.pipeline() as pipeline:
        pipeline.sadd("resque:queues", "q")
        pipeline.rpush("resque:queue:q", b'{"class":"CountSlowly","args":["never",60]}')
        pipeline.client_pause(1500)
        pipeline.execute()
    time.sleep(0.5)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "did not leave in time" not in master.log
    assert bench.client.size("q") == 1


def test_graceful_term_acts_as_quit(bench: Bench) -> None:
    bench.client.enqueue_to("q", "CountSlowly", "x", 0.5)
    master = bench.start("-q", "q", "--graceful-term")
    wait_for(lambda: bench.begun() == 1)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert bench.runs() == {"x": 1}


def test_a_job_that_will_not_die_is_killed_with_its_process_and_recovered(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Behave", "spin")
    master = bench.start("-q", "q", "-t", "2", "-j", "100", "--term-timeout", "0.5")
    wait_for(lambda: bench.redis.llen("started") == 1)
    master.signal(signal.SIGINT)
    assert master.wait() == 0
    assert bench.client.size("q") == 1
    assert "1 requeued" in master.log
    assert bench.held() == 0


def test_a_clean_end_leaves_no_trace_of_the_worker(bench: Bench) -> None:
    master = bench.start("-q", "q", "-w", "2")
    wait_for(lambda: bench.redis.zcard("resque:ledgers") >= 2)
    assert bench.redis.scard("resque:workers") == 1
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert bench.keys() == set()


# Deaths


def test_a_killed_process_is_recovered_and_replaced_at_once(bench: Bench) -> None:
    for n in range(30):
        bench.client.enqueue_to("q", "CountWhenLet", str(n))
    master = bench.start("-q", "q", "-w", "2", "-t", "5", "-j", "1000")
    wait_for(lambda: bench.begun() == 10)
    master.children()[0].kill()
    wait_for(lambda: "recovered 5 jobs" in master.log)
    bench.let()
    wait_for(lambda: len(bench.runs()) == 30)
    wait_for(lambda: bench.held() == 0)
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    assert set(bench.runs().values()) == {1}
    assert "reserved 35 = 30 done + 0 failed + 5 requeued" in master.log


def test_when_the_master_dies_its_processes_finish_and_leave(bench: Bench) -> None:
    bench.client.enqueue_to("q", "CountSlowly", "x", 0.5)
    master = bench.start("-q", "q", "-w", "2", "-t", "5", "-j", "1000")
    wait_for(lambda: bench.redis.zcard("resque:ledgers") == 2 and bench.begun() == 1)
    children = master.children()
    master.process.kill()
    wait_for(lambda: not any(child.is_running() for child in children))
    assert bench.runs() == {"x": 1}
    assert bench.redis.zcard("resque:ledgers") == 0
    assert not bench.redis.exists("resque:workers")


def test_the_worker_of_a_dead_host_is_recovered_and_forgotten_by_short_lived_processes(
    bench: Bench,
) -> None:
    dead = "gone:1:q:1:1:1"
    raw = b'{"class":"Count","args":["found"]}'
    bench.redis.sadd("resque:workers", dead)
    bench.redis.hset("resque:masters", dead, "2026-01-01 00:00:00 +0000")
    bench.redis.hset("resque:workers:heartbeat", dead, "2026-01-01T00:00:00+00:00")
    bench.redis.zadd("resque:ledgers", {f"{dead}:2:3": 1000})
    entry = b"%d:resque:queue:q%s" % (len(b"resque:queue:q"), raw)
    bench.redis.hset(f"resque:ledger:{dead}:2:3", mapping={"state": "1 1 0 0 0 0", "0": entry})
    # The default tiers: no process lives long enough for a heartbeat of its own.
    bench.start("-q", "q", "-r", "tests.process.quick_deaths")

    def busy() -> bool:
        bench.client.enqueue_to("q", "Behave", "ok")
        return bench.runs() == {"found": 1} and not bench.redis.sismember("resque:workers", dead)

    wait_for(busy)
    assert bench.redis.hget("resque:workers:heartbeat", dead) is None


# What cannot work


@pytest.mark.parametrize(
    ("arguments", "env", "code", "line"),
    [
        ([], {}, 2, "no queues to work"),
        (["-q", "q", "-t", "many"], {}, 2, "--threads: 'many' is not a whole number"),
        (["-q", "q"], {"WORKER_COUNT": "0"}, 2, "WORKER_COUNT: 0 is too small"),
        (["-q", "q", "--redis", "http://x"], {}, 2, "--redis: 'http://x' is not a Redis URL"),
        (["-q", "q", "--redis", "redis://127.0.0.1:1"], {}, 1, "no answer from Redis at 127.0.0.1"),
        (["-q", "q", "-r", "no.such.module"], {}, 1, "cannot import no.such.module"),
        (["-q", "q", "--no-such-flag"], {}, 2, "No such option"),
        (["-q", "mail:0"], {}, 2, "a cap is 1 or more"),
        (["-q", "mail", "--weights", "low=5"], {}, 2, "--weights: low=5: the queues to work"),
    ],
)
def test_one_clear_line_and_the_right_exit_code(
    bench: Bench, arguments: list[str], env: dict[str, str], code: int, line: str
) -> None:
    master = bench.start(*arguments, **env)
    assert master.wait() == code, master.log
    complaint = [text for text in master.log.splitlines() if " INFO " not in text]
    assert len(complaint) == 1, master.log
    assert line in complaint[0]


def test_a_module_that_fails_in_the_first_process_ends_the_master(bench: Bench) -> None:
    master = bench.start("-q", "q", "-r", "no.such.module", "--no-preload")
    assert master.wait() == 1
    assert "cannot import no.such.module" in master.log
    assert "Traceback" not in master.log


@pytest.mark.parametrize("preload", ["--preload", "--no-preload"])
def test_flags_hold_for_modules_that_use_the_client_at_import(bench: Bench, preload: str) -> None:
    bench.redis.rpush("other:queue:q", b'{"class":"Passes"}')
    bench.redis.sadd("other:queues", "q")
    master = bench.run(
        "-r", "tests.process.early_client", "-q", "q,next", "--namespace", "other", "--burst",
        "--redis", bench.redis_url, "-j", "1000", preload,
        REDIS_URL="redis://127.0.0.1:1/0",
    )  # fmt: skip
    assert "reserved 2 = 2 done" in master.log
    assert "gives another redis_url and namespace than this worker has" in master.log


def test_a_log_of_json_is_json_whatever_jobs_raise(bench: Bench) -> None:
    items = [json.dumps({"class": "Behave", "args": [*args]}).encode() for args in (
        ("fail", "three\n\x1b[31m\u2028lines ☃"), ("greenlet fails",), ("thread fails",), ("ok",),
    )]  # fmt: skip
    bench.push_raw("q", *items)
    master = bench.run("-q", "q", "--burst", "-j", "10", "--log-format", "json", "-v")
    records = [json.loads(line) for line in master.log.splitlines()]
    assert master.log.isascii()
    uncaught = [r for r in records if "that nothing caught" in r["message"]]
    assert len(uncaught) == 2
    for record in uncaught:
        assert record["exception"].startswith("ValueError: two\n\x1b[31mlines\n")
    assert bench.stat("failed") == 1
    (worker,) = {r["worker"] for r in records}
    assert f":{master.process.pid}:q" in worker
    assert {r["pid"] for r in records} > {master.process.pid}
    assert all(r["event"] for r in records)
    (failed,) = [r for r in records if r["event"] == "job_failed"]
    assert (failed["job"], failed["queue"]) == ("Behave", "q")
    assert failed["seconds"] >= 0


LIMITED = ("sh", "-c", 'ulimit -n 400; exec "$@"', "sh")


@pytest.mark.parametrize("preload", ["--preload", "--no-preload"])
def test_the_start_says_which_jobs_there_are_and_what_may_go_wrong(
    bench: Bench, preload: str
) -> None:
    master = bench.start("-q", "other", "-w", "2", "-t", "301", preload, "--burst", wrap=LIMITED)
    assert master.wait() == 0, master.log
    assert re.search(r" (\d+) jobs declared, \1 of them for queues that it does", master.log)
    assert master.log.count("jobs declared") == 1, "by one process of several"
    warnings = [line for line in master.log.splitlines() if "open files" in line]
    (warning,) = warnings  # a busy machine may add others, of other things
    assert " WARNING " in warning
    assert "301 threads with a socket each are over the limit of 400 open files" in warning
