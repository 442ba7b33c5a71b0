"""Whatever a job does, and whatever happens to its process: it ends once, and is counted once."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable

from tests.process.ending import ENDS
from tests.process.support import Bench, Master, account, wait_for

OURS = "tests.process.ending"


def test_every_end_is_counted_once_through_every_signal(bench: Bench) -> None:
    each = 6
    options = "-q", "q", "-r", OURS, "-w", "2", "-t", "5", "-j", "30"
    for number in range(each):
        for how in ENDS:
            bench.client.enqueue_to("q", "Ending", how, number)
    masters: list[Master] = []

    def run(*signals: signal.Signals, until: Callable[[], bool] = lambda: True) -> None:
        start = bench.stat("processed")
        master = bench.start(*options, MAX_RECOVERIES="0")
        masters.append(master)
        for more, number in enumerate(signals, 1):
            wait_for(lambda more=more: bench.stat("processed") >= start + 8 * more)  # type: ignore[misc]
            if number is signal.SIGKILL:
                master.kill_children()
            else:
                master.signal(number)
        wait_for(until, 60)
        master.signal(signal.SIGTERM)
        assert master.wait() == 0

    run(signal.SIGHUP, signal.SIGKILL)
    run(signal.SIGUSR1)
    run(until=lambda: bench.stat("processed") == each * len(ENDS))

    totals = Counter[str]()
    for master in masters:
        totals.update(account(master.log).ended)
    assert totals["done"] + totals["failed"] == each * len(ENDS)
    assert totals["retried"] == bench.stat("retried")
    assert totals["failed"] == bench.stat("failed")
    failed = Counter(str(entry.payload["id"]) for entry in bench.failed())
    assert len(failed) == totals["failed"] == failed.total()
    kinds = Counter(entry.payload["args"][0] for entry in bench.failed())
    for how in ("fails", "killed", "gives up"):
        assert kinds[how] == each
    left = {"queues", "failed", "stat:processed", "stat:failed", "stat:retried"}
    assert bench.keys() - {"resque:recoveries"} == {f"resque:{name}" for name in left}
