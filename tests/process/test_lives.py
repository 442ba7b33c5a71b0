"""The lives of worker processes: how many there are, who comes after whom, and after what."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.process.support import Bench, Master, wait_for


def test_at_most_worker_count_processes_retire_at_a_time(bench: Bench) -> None:
    """Two jobs per process, and each job longer than all the rest of the test takes."""
    for _ in range(20):
        bench.client.enqueue_to("q", "Behave", "sleep", 60)
    master = bench.start("-q", "q", "-w", "2", "-t", "5", "-j", "2")
    # Two that retire, and their two successors, which then retire as well; nobody else comes.
    wait_for(lambda: bench.redis.llen("started") == 8)
    assert len(master.pids()) == 4
    before = master.pids()
    master.signal(signal.SIGTTIN)
    wait_for(lambda: master.log.count("where the jobs stand:") == 4)
    assert (bench.held(), bench.client.size("q")) == (8, 12)
    # One of them ends: one comes.
    psutil.Process(min(before)).send_signal(signal.SIGUSR1)
    wait_for(lambda: bench.redis.llen("started") == 10)
    assert len(master.pids()) == 4
    assert len(master.pids() - before) == 1
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "reserved 10 = 0 done + 2 failed + 8 requeued" in master.log


def test_a_hup_does_not_wait_for_those_that_retire(bench: Bench) -> None:
    for _ in range(2):
        bench.client.enqueue_to("q", "Behave", "sleep", 60)
    master = bench.start("-q", "q", "-w", "2", "-t", "5", "-j", "1")
    wait_for(lambda: bench.redis.llen("started") == 2)
    wait_for(lambda: bench.redis.zcard("resque:ledgers") == 4)
    before = master.pids()
    master.signal(signal.SIGHUP)
    wait_for(lambda: len(master.pids() - before) == 2 and len(master.pids()) == 4)
    assert len(master.pids() & before) == 2, "those that retire run their jobs on"
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "reserved 2 = 0 done + 0 failed + 2 requeued" in master.log


WATCHES_IMPORTS = """
import os, sys
import gresque

at_fork = set()
os.register_at_fork(before=lambda: at_fork.update(sys.modules))


@gresque.job(queue="q")
def tell(path):
    with open(path, "w") as file:
        file.write(" ".join(sorted(set(sys.modules) - at_fork)) + "\\n")
        file.write(str("redis.asyncio.client" in at_fork))
"""


def test_a_process_for_one_job_imports_nothing(bench: Bench, tmp_path: Path) -> None:
    """Each import would be made anew for every job. What nobody uses the master does not load."""
    (tmp_path / "watches.py").write_text(WATCHES_IMPORTS)
    told = tmp_path / "told"
    bench.client.enqueue_to("q", "watches.tell", str(told))
    master = bench.start("-q", "q", "-r", "watches", "--burst", PYTHONPATH=str(tmp_path))
    assert master.wait() == 0
    assert told.read_text() == "\nFalse"


def broken_deploy(bench: Bench, directory: Path) -> tuple[Path, Master]:
    module = directory / "deployed.py"
    module.write_text("")
    master = bench.start(
        "-q", "q", "-r", "deployed", "--no-preload", "-w", "2", "-t", "5", "-j", "1000",
        PYTHONPATH=str(directory), PYTHONDONTWRITEBYTECODE="1",
    )  # fmt: skip
    wait_for(lambda: bench.redis.zcard("resque:ledgers") == 2)
    module.write_text("import no_such_module\n")
    return module, master


def until_held_back_twice(master: Master) -> str | None:
    """Its log up to there: more may have been tried since."""
    words = "the next worker process is tried in"
    first, second, *_ = [*master.log.split(words), "", ""]
    return first + second if master.log.count(words) >= 2 else None


def test_a_module_that_fails_later_is_tried_again_until_it_is_mended(
    bench: Bench, tmp_path: Path
) -> None:
    module, master = broken_deploy(bench, tmp_path)
    for pid in master.pids():
        os.kill(pid, signal.SIGKILL)
    log = wait_for(lambda: until_held_back_twice(master))
    assert "cannot import deployed (-r): ModuleNotFoundError: No module named" in log
    assert log.count("cannot import deployed") <= 4, "it backs off"
    bench.client.enqueue_to("q", "Count", "mended")
    module.write_text("")
    wait_for(bench.runs)
    wait_for(lambda: bench.redis.zcard("resque:ledgers") == 2)
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0


def test_a_hup_into_a_broken_deploy_keeps_the_old_processes_at_work(
    bench: Bench, tmp_path: Path
) -> None:
    module, master = broken_deploy(bench, tmp_path)
    before = master.pids()
    master.signal(signal.SIGHUP)
    log = wait_for(lambda: until_held_back_twice(master))
    assert log.count("cannot import deployed") == 2, "it backs off further each time"
    bench.client.enqueue_to("q", "Count", "by an old one")
    wait_for(bench.runs)
    module.write_text("")
    wait_for(lambda: len(master.pids()) == 2 and not master.pids() & before)
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0


TELLS_THRESHOLDS = """
import gc
import gresque


@gresque.job(queue="q")
def tell(path):
    with open(path, "w") as file:
        file.write(f"{gc.get_threshold()[0]} {gc.isenabled()}")
"""


@pytest.mark.parametrize(
    ("chosen", "threads", "told"),
    [
        ("", 5, "10000 True"),
        ("", 2000, "20000 True"),
        ("gc.set_threshold(3000)", 2000, "3000 True"),
        ("gc.disable()", 5, f"{gc.get_threshold()[0]} False"),
    ],
)
def test_the_collector_waits_for_more_objects_unless_the_user_has_chosen(
    bench: Bench, tmp_path: Path, chosen: str, threads: int, told: str
) -> None:
    (tmp_path / "tells.py").write_text(TELLS_THRESHOLDS + chosen)
    file = tmp_path / "told"
    bench.client.enqueue_to("q", "tells.tell", str(file))
    bench.run(
        "-q", "q", "-r", "tells", "-t", str(threads), "-j", "99", "--burst",
        PYTHONPATH=str(tmp_path),
    )  # fmt: skip
    assert file.read_text() == told
