"""Deploys: masters that get QUIT and are started again, over and over, under load."""

from __future__ import annotations

import signal

from tests.process.support import Bench, wait_for

ROUNDS = 4
JOBS = 8_000
ARGUMENTS = ("-q", "q", "-w", "2", "-t", "20", "-j", "300")


def test_quit_leaves_no_job_behind(bench: Bench) -> None:
    bench.client.enqueue_many("Brief", [(str(n),) for n in range(JOBS)], queue="q")
    masters = [bench.start(*ARGUMENTS) for _ in range(2)]
    for turn in range(ROUNDS):
        # Something was done by the new one, so that it is stopped in the midst of its work.
        before = bench.stat("processed")
        wait_for(lambda before=before: bench.stat("processed") > min(before + 200, JOBS - 1), 60)
        leaving = masters[turn % 2]
        wait_for(lambda leaving=leaving: " started: " in leaving.log)
        leaving.signal(signal.SIGQUIT)
        assert leaving.wait() == 0
        name = f":{leaving.process.pid}:"
        assert not any(name in process for process in bench.client.store.processes.ids())
        assert not any(name.encode() in worker for worker in bench.redis.smembers("resque:workers"))
        assert "+ 0 failed" in leaving.log
        masters[turn % 2] = bench.start(*ARGUMENTS)
    wait_for(lambda: bench.stat("processed") == JOBS, 120)
    for master in masters:
        master.signal(signal.SIGQUIT)
        assert master.wait() == 0
    runs = bench.runs()
    assert len(runs) == JOBS
    assert set(runs.values()) == {1}, "an orderly end runs nothing twice"
    assert bench.held() == 0
    assert bench.client.store.recovery.log(9) == []
    assert bench.keys() == {"resque:queues", "resque:stat:processed"}
