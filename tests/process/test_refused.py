"""Redis refuses a part of what workers do: keys of another type, counters that are no numbers."""

from __future__ import annotations

import json
import signal

import pytest

from tests.process.support import Bench, wait_for

ONE_BY_ONE = ("-t", "1", "-j", "1")
TOGETHER = ("-t", "4", "-j", "1000")


def behave(how: str) -> bytes:
    return json.dumps({"class": "Behave", "args": [how]}).encode()


def started(bench: Bench, how: str) -> int:
    return bench.redis.lrange("started", 0, -1).count(how.encode())


@pytest.mark.parametrize("width", [ONE_BY_ONE, TOGETHER], ids=["1/1/1", "together"])
def test_a_failed_list_of_another_type_holds_up_no_other_job(
    bench: Bench, width: tuple[str, ...]
) -> None:
    """And no failure is lost: it comes into the list once that is one."""
    bench.redis.set("resque:failed", "another program's")
    bench.push_raw("q", behave("fail"), *[behave("ok")] * 4, behave("fail"), behave("ok"))
    master = bench.start("-q", "q", *width)
    wait_for(lambda: started(bench, "ok") == 5 and started(bench, "fail") == 2)
    wait_for(lambda: bench.stat("processed") == 5)
    assert bench.held() == 2
    bench.redis.delete("resque:failed")
    wait_for(lambda: bench.redis.llen("resque:failed") == 2)
    wait_for(lambda: bench.held() == 0)
    bench.push_raw("q", behave("ok"))
    wait_for(lambda: bench.stat("processed") == 8)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert started(bench, "fail") == 2, "each of them ran once"
    assert bench.stat("failed") == 2
    assert master.log.count("RPUSH resque:failed (WRONGTYPE") == 1
    assert "rename or delete resque:failed" in master.log
    assert "reserved 8 = 6 done + 2 failed + 0 requeued" in master.log


def test_a_shutdown_does_not_wait_for_what_is_refused(bench: Bench) -> None:
    bench.redis.set("resque:failed", "another program's")
    bench.push_raw("q", behave("fail"), behave("ok"))
    master = bench.start("-q", "q", *TOGETHER)
    wait_for(lambda: bench.stat("processed") == 1 and started(bench, "fail") == 1)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "left with 1 job in the ledger" in master.log
    assert "reserved 2 = 1 done + 0 failed + 1 requeued" in master.log
    (raw,) = bench.redis.lrange("resque:queue:q", 0, -1)
    assert raw == behave("fail"), "and no death counts on it"
