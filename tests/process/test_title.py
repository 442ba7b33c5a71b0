"""Process titles, as `ps` shows them."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import psutil

from gresque.version import __version__
from tests.process.support import Bench, Master, wait_for


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).rstrip()
    except psutil.Error:  # it has just ended
        return ""


def titles(master: Master) -> tuple[str, list[str]]:
    """The master's, and those of its children."""
    return title(psutil.Process(master.process.pid)), sorted(map(title, master.children()))


APP = f"app gresque-{__version__}"
RUBYS_PATTERN = "[r]esque:work|[r]esque:\\sStarting|[r]esque-[0-9]"
"""By which a Ruby worker that boots finds the living workers of its host in `ps -A -o pid,command`;
it unregisters the others of the same queues."""


def test_a_ruby_worker_finds_a_master_in_ps(bench: Bench) -> None:
    master = bench.start("-q", "q")
    wait_for(lambda: re.search(RUBYS_PATTERN, titles(master)[0]))
    master.signal(signal.SIGTERM)
    assert master.wait() == 0


def test_titles_tell_role_queues_state_and_counts(bench: Bench) -> None:
    arguments = ("-w", "1", "-t", "5", "-j", "1000", "--procline-prefix", "app ")
    master = bench.start("-q", "q,low-*", *arguments, fresh=True)
    wait_for(lambda: titles(master) == (
        f"{APP}: master q,low-*: working, 1 of 1 process, 0 running, 0 done, 0 failed",
        [f"{APP}: worker q,low-*: working, 0 running, 0 done, 0 failed"],
    ))  # fmt: skip
    bench.client.enqueue_to("q", "CountSlowly", "a", 60)
    bench.client.enqueue_to("q", "Count", "b")
    bench.client.enqueue_to("q", "Boom", "c")
    wait_for(lambda: titles(master) == (
        f"{APP}: master q,low-*: working, 1 of 1 process, 1 running, 1 done, 1 failed",
        [f"{APP}: worker q,low-*: working, 1 running, 1 done, 1 failed"],
    ))  # fmt: skip
    master.signal(signal.SIGUSR2)
    wait_for(lambda: all(": paused, " in text for text in (titles(master)[0], *titles(master)[1])))
    master.signal(signal.SIGHUP)
    wait_for(lambda: any(": draining, 1 running" in text for text in titles(master)[1]))
    master.signal(signal.SIGQUIT)
    wait_for(lambda: ": stopping, 0 of 1 process, 1 running" in titles(master)[0])
    master.signal(signal.SIGTERM)
    assert master.wait() == 0


def test_a_process_that_has_reserved_all_it_may_is_retiring(bench: Bench) -> None:
    for n in range(2):
        bench.client.enqueue_to("q", "CountSlowly", str(n), 60)
    master = bench.start("-q", "q", "-t", "5", "-j", "2")
    wait_for(lambda: any(": retiring, 2 running" in text for text in titles(master)[1]))
    wait_for(lambda: any(": working, 0 running" in text for text in titles(master)[1]))
    master.signal(signal.SIGTERM)
    assert master.wait() == 0


def test_a_process_that_comes_up_is_booting(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        f"while not pathlib.Path({str(tmp_path)!r}, 'go').exists():\n"
        "    time.sleep(0.01)\n"
    )
    master = bench.start("-q", "q", "-r", "slow", "--no-preload", PYTHONPATH=str(tmp_path))
    wait_for(lambda: titles(master)[0].endswith("master q: booting, 0 of 1 process, "
                                                "0 running, 0 done, 0 failed"))  # fmt: skip
    (tmp_path / "go").touch()
    wait_for(lambda: ": working, " in titles(master)[0])
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
