"""A process that a job forks is no worker: it runs the job's code only, and ends with it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.process.support import PATIENCE_SECONDS, Bench, Master, wait_for

FORKS = ("-r", "tests.process.forks", "-q", "q", "-j", "100000")


class Tables(NamedTuple):
    """Those of `tests.process.forks`: kind -> repr of its result, places, way to end -> status."""

    in_child: dict[str, str]
    where: list[str]
    ends: dict[str, int]


@cache
def tables() -> Tables:
    """Read in another process: the module declares jobs and process hooks."""
    program = (
        "import json; from tests.process.forks import *; print(json.dumps(["
        "{kind: repr(result) for kind, (_, result) in IN_CHILD.items()}, [*WHERE, *HOOKS], "
        "{how: STATUSES[how] for how in ENDS}]))"
    )
    root = Path(__file__).parents[2]
    out = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, check=True
    ).stdout
    return Tables(*json.loads(out))


def start(bench: Bench, *arguments: str) -> Master:
    # A child may start Python as its parent was started.
    return bench.start(*FORKS, *arguments, fresh=True)


def with_neighbours(bench: Bench, count: int = 100) -> None:
    """Jobs that wait beside those that fork, in the same process."""
    calls = [(f"n{n}", 0.2) for n in range(count)]
    bench.client.enqueue_many("CountSlowly", calls, queue="q")


def neighbours(bench: Bench) -> dict[bytes, bytes]:
    """How often each has begun that did not begin and end once."""
    begun: dict[bytes, bytes] = bench.redis.hgetall("begun")
    ended: dict[bytes, bytes] = bench.redis.hgetall("runs")
    return {key: n for key, n in begun.items() if (n, ended.get(key)) != (b"1", b"1")}


def fields(bench: Bench, key: str) -> dict[str, Any]:
    return {field.decode(): text.decode() for field, text in bench.redis.hgetall(key).items()}


def lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_what_a_child_can_do(bench: Bench) -> None:
    in_child = tables().in_child
    bench.client.enqueue_to("q", "HoldLock", "let go")
    master = start(bench, "-t", "200")
    wait_for(lambda: bench.redis.get("lock held"))
    with_neighbours(bench)
    bench.client.enqueue_to("q", "TakeLock")
    for kind in in_child:
        bench.client.enqueue_to("q", "InChild", kind)
    wait_for(lambda: bench.redis.hlen("status") == len(in_child), 120)
    bench.redis.set("let go", "now")
    done = 1 + 100 + 1 + len(in_child) + 1
    wait_for(lambda: bench.stat("processed") == done)
    assert fields(bench, "child") == in_child | {"its exit handler ran": "True"}
    assert fields(bench, "status") == dict.fromkeys(in_child, "0")
    assert fields(bench, "kept") == dict.fromkeys(in_child, "set()")
    assert all(int(count) >= 4 for count in fields(bench, "worker has").values())
    assert neighbours(bench) == {}
    assert {"lock": 1, "of a child": 1}.items() <= bench.runs().items()
    assert bench.stat("failed") == 0
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert f"reserved {done} = {done} done + 0 failed + 0 requeued" in master.log
    assert "ERROR" not in master.log


def test_pools_and_their_like_in_a_worker(bench: Bench) -> None:
    kinds = [
        *("run", "fork", "spawn", "join spawn", "executor", "pool", "much data", "pool left"),
        *("queue", "queue of several", "event"),
    ]
    with_neighbours(bench)
    for kind in kinds:
        bench.client.enqueue_to("q", "InWorker", kind)
    master = start(bench, "-t", "200")
    wait_for(lambda: bench.stat("processed") == 100 + len(kinds), 120)
    assert fields(bench, "worker") == {kind: tables().in_child[kind] for kind in kinds}
    assert neighbours(bench) == {}
    master.signal(signal.SIGTERM)
    assert master.wait() == 0  # though a pool is left
    assert "ERROR" not in master.log


def test_a_child_ends_where_control_comes_back_from_it(bench: Bench) -> None:
    _, places, ends = tables()
    with_neighbours(bench)
    for where in places:
        for how in ends:
            bench.client.enqueue_to("q", "Forks", where, how)
    master = start(bench, "-t", "200")
    jobs = 100 + len(places) * len(ends)
    wait_for(lambda: bench.stat("processed") == jobs, 120)
    expected = {f"{where} {how}": str(ends[how]) for where in places for how in ends}
    assert fields(bench, "status") == expected
    assert neighbours(bench) == {}
    noted = fields(bench, "noted")
    assert set(noted.values()) == {"1"}
    assert len([key for key in noted if key.startswith("perform")]) == len(expected)
    assert bench.stat("failed") == len(ends)  # those of "failure"
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    raised = master.log.count("ValueError: raised in a child\n")
    assert raised == len(places)
    assert master.log.count("that is all\n") == len(places)
    errors = [line for line in master.log.splitlines() if " ERROR " in line]
    assert len(errors) == len(places)
    assert all("an exception that nothing caught ends process" in line for line in errors)


def test_a_hook_after_a_fork_that_lets_the_loop_turn(bench: Bench) -> None:
    with_neighbours(bench)
    bench.client.enqueue_to("q", "ForkAndYield")
    start(bench, "-t", "200")
    wait_for(lambda: bench.stat("processed") == 101)
    assert bench.redis.get("codes") == b"[0, 0, 0, 4, b'written']"
    assert neighbours(bench) == {}


def test_process_hooks_that_fork(bench: Bench) -> None:
    bench.redis.hset("fork in", mapping={"after_fork": 1, "worker_exit": 1})
    bench.client.enqueue_to("q", "Count", "once")
    master = bench.run(*FORKS, "--interval", "0")
    assert fields(bench, "status") == {"after_fork": "5", "worker_exit": "5"}
    assert bench.runs() == {"once": 1}
    assert "ERROR" not in master.log


def test_what_the_master_forks_is_no_master(bench: Bench, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    bench.client.enqueue_to("q", "Count", "once")
    bench.client.enqueue_to("q", "InWorker", "run")
    master = bench.run(*FORKS, "--interval", "0", FORKS_OF_MASTER=str(notes))
    found = [5, 0, -signal.SIGTERM, 3]
    places = ("import", "before_first_fork", "before_fork")
    assert notes.read_text().splitlines() == [f"{place} {found}" for place in places]
    assert bench.runs() == {"once": 1}
    assert fields(bench, "worker") == {"run": "3"}
    assert master.log.count("started:") == 1
    assert master.log.count("stopped:") == 1
    assert "ERROR" not in master.log


def test_a_hook_of_the_master_that_waits_for_a_program(bench: Bench) -> None:
    """Meanwhile gevent's loop reaps the worker processes that end."""
    for n in range(8):
        bench.client.enqueue_to("q", "CountSlowly", str(n), 0.05)
    arguments = ("-r", "tests.process.forks", "-q", "q", "-w", "2", "-j", "1", "--interval", "0")
    master = bench.run(*arguments, SLOW_BEFORE_FORK="1")
    assert bench.runs() == {str(n): 1 for n in range(8)}
    assert "ERROR" not in master.log


def test_without_preloading(bench: Bench) -> None:
    with_neighbours(bench)
    bench.client.enqueue_to("q", "Forks", "job", "return")
    bench.client.enqueue_to("q", "Forks", "greenlet", "raise")
    start(bench, "-t", "200", "--no-preload")
    wait_for(lambda: bench.stat("processed") == 102)
    assert neighbours(bench) == {}


def test_a_child_outlives_its_worker_and_holds_nothing_up(bench: Bench) -> None:
    bench.client.enqueue_to("q", "ForkAndGo", 60)
    master = start(bench, "-t", "3")
    pid = int(wait_for(lambda: bench.redis.get("child")))
    wait_for(lambda: bench.runs() == {"parent": 1})
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    child = psutil.Process(pid)

    def tracking() -> list[Any]:
        """As the worker's connections do. The server may take a moment to notice that one ends."""
        return [client for client in bench.redis.client_list() if "t" in client["flags"]]

    wait_for(lambda: not tracking())
    child.terminate()  # the worker's handler would ignore it now
    child.wait(PATIENCE_SECONDS)


def test_processes_left_behind_end_with_who_made_them(bench: Bench) -> None:
    """Executors, pools, managers and daemons: `os._exit` would leave them for ever."""
    bench.client.enqueue_to("q", "LeaveProcesses")
    master = bench.run(*FORKS, "--interval", "0")
    assert (bench.redis.get("put"), bench.redis.get("code")) == (b"1000000", b"0")
    left = {int(pid) for pid in bench.redis.smembers("left")}
    assert len(left) == 2 * (2 + 1 + 2 + 1)
    wait_for(lambda: not any(map(lives, left)))
    assert "ERROR" not in master.log


def test_a_child_that_is_terminated_at_once(bench: Bench) -> None:
    bench.client.enqueue_to("q", "StartAndTerminate")
    bench.run(*FORKS, "--interval", "0")
    assert fields(bench, "terminated") == {str(-signal.SIGTERM): "30"}


def test_a_job_that_waits_for_its_child_is_killed_without_it(bench: Bench) -> None:
    bench.client.enqueue_to("q", "ForkAndWait")
    master = start(bench, "-t", "3")
    pid = int(wait_for(lambda: bench.redis.get("child")))
    master.signal(signal.SIGUSR1)
    wait_for(lambda: bench.stat("failed") == 1)
    child = psutil.Process(pid)
    assert child.is_running()
    child.kill()
