"""Orders to single processes, and what their jobs wait on."""

from __future__ import annotations

import pytest

from gresque.cli.main import run
from gresque.inspector.running import RunningJob
from gresque.store.store import Store
from tests.process.support import Bench, shows, wait_for


def test_a_process_is_watched_drained_and_replaced(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    def process(order: str, *options: str) -> str:
        code = run(["process", order, pid, "--redis", bench.redis_url, *options])
        out = capsys.readouterr().out
        assert code == 0, out
        return out

    bench.client.enqueue_to("q", "CountSlowly", "0", 60)
    master = bench.start("-q", "q", "-t", "3", "-j", "1000")
    wait_for(lambda: bench.begun() == 1)
    store = Store(bench.redis_url, "resque")

    def waits() -> list[RunningJob]:
        store.commands.watch()
        return [job for job in RunningJob.longest(store) if job.waits_on]

    (job,) = wait_for(waits)
    assert (job.waits_on, job.cpu_share) == ("sleep of 60 s", 0)
    assert "tests/process/jobs.py" in job.frame

    (child,) = master.children()
    pid = job.process.split(":")[0] + f":{child.pid}"
    assert run(["process", "drain", pid, "--redis", bench.redis_url, "--wait", "0.1"]) == 1
    assert "paused; 1 job" in process("pause")
    assert shows(master, "paused")
    bench.client.enqueue_to("q", "CountSlowly", "1", 0)
    assert run(["kill", str(job.item["id"]), "--redis", bench.redis_url]) == 0
    assert "drained: it holds no job" in process("drain")
    assert bench.redis.llen("resque:queue:q") == 1
    assert "continues (working)" in process("continue")
    wait_for(lambda: "1" in bench.runs())

    bench.client.enqueue_to("q", "CountSlowly", "2", 2)
    wait_for(lambda: bench.begun() == 3)
    assert "left" in process("recycle", "--wait", "25")
    assert bench.runs() == {"1": 1, "2": 1}
    wait_for(lambda: master.pids() and child.pid not in master.pids())
    bench.client.enqueue_to("q", "CountSlowly", "3", 0)
    wait_for(lambda: bench.runs() == {"1": 1, "2": 1, "3": 1})
    assert run(["process", "drain", "nowhere:1", "--redis", bench.redis_url]) == 2
    assert "no process, worker or host is named nowhere:1" in capsys.readouterr().err
    store.close()
