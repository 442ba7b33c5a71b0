"""Schedules, with real masters."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gresque.maintenance.lease import LEASE_SECONDS
from tests.process.support import Bench, Master, wait_for

SECONDLY = "* * * * * *"
MODULE = ("-r", "tests.process.scheduled_jobs")
NEVER = "0 0 1 1 *"


class Ran(NamedTuple):
    """A job of the schedule."""

    tick: int
    enqueued: float
    ran: float
    line: str


def ran(bench: Bench) -> list[Ran]:
    found = []
    for raw in bench.redis.lrange("ticks", 0, -1):
        tick, enqueued, at, line = raw.decode().split(" ", 3)
        found.append(Ran(int(tick), float(enqueued), float(at), line))
    return found


def start(bench: Bench, line: str = SECONDLY, *arguments: str) -> Master:
    options = (*MODULE, "-q", "ticks", "-t", "2", "-j", "1000", *arguments)
    return bench.start(*options, TEST_CRON=line)


def holder(bench: Bench, masters: list[Master]) -> Master | None:
    """The master whose maintenance process has the lease."""
    found = bench.redis.get("resque:maintenance")
    pid = 0 if found is None else int(found.split(b":")[1])
    return next((master for master in masters if master.process.pid == pid), None)


def entries(bench: Bench) -> dict[str, str]:
    found = {
        name.decode(): json.loads(raw) for name, raw in bench.redis.hgetall("resque:cron").items()
    }
    return {name: entry["cron"] for name, entry in found.items()}  # fmt: skip


def test_each_second_once_while_the_holder_of_the_lease_dies(bench: Bench) -> None:
    masters = [start(bench) for _ in range(2)]
    wait_for(lambda: ran(bench))
    for _ in range(2):
        killed = wait_for(lambda: (held := holder(bench, masters)) and held.maintenance())
        killed[0].kill()
        before = len(ran(bench))
        wait_for(lambda count=before: len(ran(bench)) >= count + 2)  # type: ignore[misc]
    ticks = [each.tick for each in ran(bench)]
    assert sorted(ticks) == list(range(min(ticks), max(ticks) + 1))
    # The lease expires, if the holder's successor is late; a busy machine adds to that.
    assert max(each.enqueued - each.tick for each in ran(bench)) < 4 * LEASE_SECONDS
    assert min(each.enqueued - each.tick for each in ran(bench)) >= -0.001


@pytest.fixture
def old(bench: Bench) -> Iterator[Master]:
    master = start(bench, NEVER)
    wait_for(lambda: entries(bench) == {"tick": NEVER})
    yield master


def test_a_deploy_with_a_changed_expression(bench: Bench, old: Master) -> None:
    """Old and new masters beside each other: only the new one's ticks, whoever has the lease."""
    new = start(bench)
    wait_for(lambda: entries(bench) == {"tick": SECONDLY})
    (maintenance,) = old.maintenance()
    maintenance.kill()  # its successor declares nothing
    wait_for(lambda: len(ran(bench)) >= 3)
    wait_for(lambda: [each for each in old.maintenance() if each.pid != maintenance.pid])
    assert {each.line for each in ran(bench)} == {SECONDLY}
    assert entries(bench) == {"tick": SECONDLY}
    new.signal(signal.SIGTERM)
    assert new.wait() == 0
    count = len(ran(bench))
    wait_for(lambda: len(ran(bench)) > count + 1)  # by the old one, from what stands in Redis
    assert {each.line for each in ran(bench)} == {SECONDLY}


def test_what_a_ruby_program_sets_is_seen_within_2_s(bench: Bench) -> None:
    start(bench, NEVER)
    wait_for(lambda: entries(bench))
    config = {"cron": SECONDLY, "class": "Count", "queue": "ticks", "args": ["ruby"]}

    def change(wanted: bool) -> float:
        """Set or remove the entry; the seconds until that is seen."""
        at = time.monotonic()
        if wanted:
            bench.redis.hset("resque:persistent_schedules", "dyn", json.dumps(config))
            bench.redis.sadd("resque:schedules_changed", "dyn")
        else:
            bench.redis.hdel("resque:persistent_schedules", "dyn")
        wait_for(lambda: ("dyn" in entries(bench)) is wanted)
        return time.monotonic() - at

    change(True)
    wait_for(lambda: bench.runs().get("ruby", 0) >= 1)
    change(False)
    # Each follows a look at once: one that looks too seldom is late each time, a busy machine once.
    took = [change(wanted) for wanted in (True, False, True)]
    assert min(took) < 2, took


def test_without_preloading_the_worker_processes_declare(bench: Bench) -> None:
    start(bench, SECONDLY, "--no-preload")
    wait_for(lambda: len(ran(bench)) >= 2)


def test_a_burst_runs_what_is_due(bench: Bench) -> None:
    bench.run(*MODULE, "-q", "ticks", "--burst", TEST_CRON=NEVER)
    assert entries(bench) == {"tick": NEVER}
    now = int(time.time() * 1000)
    bench.redis.zadd("resque:cron:next", {"tick": now - 1000})
    bench.run(*MODULE, "-q", "ticks", "--burst", TEST_CRON=NEVER)
    assert [each.tick for each in ran(bench)] == [round((now - 1000) / 1000)]


def test_a_schedule_file(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "cron.yml"
    file.write_text(f"count:\n  cron: '{SECONDLY}'\n  class: Count\n  queue: q\n  args: file\n")
    bench.start("-q", "q", "--schedule", str(file))
    wait_for(lambda: bench.runs().get("file", 0) >= 1)
    file.write_text("count:\n  cron: '61 * * * *'\n  queue: q\n")
    wrong = bench.start("-q", "q", "--schedule", str(file))
    assert wrong.wait() == 1
    (line,) = [line for line in wrong.log.splitlines() if "cron.yml" in line]
    assert "line 1: entry 'count': the cron line '61 * * * *': its minute '61' is wrong" in line


def test_without_preloading_hup_reads_the_file_again(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "cron.yml"
    file.write_text("old:\n  every: 1w\n  class: Count\n  queue: q\n")
    options = ("-q", "q", "-j", "100", "--no-preload", "--schedule", str(file))
    master = bench.start(*options)
    wait_for(lambda: bench.redis.hkeys("resque:cron") == [b"old"])
    file.write_text("new:\n  every: 1w\n  class: Count\n  queue: q\n")
    master.signal(signal.SIGHUP)
    wait_for(lambda: bench.redis.hkeys("resque:cron") == [b"new"])
