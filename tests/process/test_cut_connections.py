"""Workers whose connections are cut, at any byte."""

from __future__ import annotations

import signal

import pytest

from gresque.connection.scripts import script
from tests.process.outage import ENDLESS, Outage, said
from tests.process.outage import outage_fixture as outage_fixture
from tests.process.outage import own_fixture as own_fixture
from tests.process.outage import proxy_fixture as proxy_fixture
from tests.process.support import PATIENCE_SECONDS, wait_for
from tests.support.faults import FaultyProxy


@pytest.mark.parametrize(("direction", "step"), [("request", 29), ("reply", 3)])
def test_a_turn_that_is_cut_at_any_byte_neither_loses_nor_doubles(
    outage: Outage, proxy: FaultyProxy, direction: str, step: int
) -> None:
    marker = script("cycle").sha
    master = outage.work("-t", "2", *ENDLESS, through=proxy)
    outage.push(range(2))
    outage.wait_for_ends(2)
    size, total = (700 if direction == "request" else 220), 2
    for after in range(0, size, step):
        proxy.cut(marker, direction, after)
        outage.push(range(total, total + 2))
        total += 2
        outage.wait_for_ends(total)
    outage.finish(master, total)
    assert outage.stat("processed") == total
    assert said(master, "waiting for it") >= size // step // 2


def test_jobs_that_enqueue_through_cuts(outage: Outage, proxy: FaultyProxy) -> None:
    marker = script("enqueue").sha
    master = outage.work("-t", "2", *ENDLESS, through=proxy)
    jobs = 0
    for direction, last in (("request", 400), ("reply", 4)):
        for after in range(0, last + 1, 80 if direction == "request" else 1):
            proxy.cut(marker, direction, after)
            outage.client.enqueue_to("q", "TellAndEnqueue", str(jobs))
            jobs += 1
            outage.wait_for_ends(2 * jobs)
    outage.finish(master, 2 * jobs)


def test_a_heartbeat_that_is_cut_goes_on(outage: Outage, proxy: FaultyProxy) -> None:
    marker = script("beat").sha
    master = outage.work("-t", "2", *ENDLESS, through=proxy)
    outage.push(range(1), 14.0)
    wait_for(lambda: len(outage.lines("start")) == 1)
    (process,) = outage.client.store.processes.ids()
    for direction, after in (("request", 0), ("request", 200), ("reply", 0), ("reply", 5)):
        cut = proxy.cut(marker, direction, after)
        assert cut.done.wait(PATIENCE_SECONDS)
        beat = outage.redis.zscore("resque:ledgers", process)
        wait_for(lambda beat=beat: outage.redis.zscore("resque:ledgers", process) > beat)
    outage.finish(master, 1)
    assert said(master, "waiting for it") == 0


def test_a_dead_process_is_recovered_once_through_cuts(outage: Outage, proxy: FaultyProxy) -> None:
    """Whatever of the recovery was cut, the successor does again what is left of it."""
    master = outage.work("-t", "4", *ENDLESS, through=proxy)
    total = 0
    cuts = [("fence", "reply", n) for n in (0, 20)] + [("recover", "reply", n) for n in (0, 4)]
    for name, direction, after in [*cuts, ("recover", "request", 100), ("fence", "request", 50)]:
        let = outage.push_held(range(total, total + 4))
        total += 4
        wait_for(lambda total=total: len(outage.lines("start")) >= total)
        cut = proxy.cut(script(name).sha, direction, after)
        master.kill_children()
        assert cut.done.wait(PATIENCE_SECONDS)
        let.touch()
        outage.wait_for_ends(total)
        wait_for(lambda: outage.held() == 0)  # else the next kill may come before they are settled
    assert set(outage.lines("end").values()) == {1}
    assert set(outage.lines("start").values()) == {2}
    master.signal(signal.SIGTERM)
    assert master.wait() == 0, master.log
    assert outage.stat("processed") == total
