"""What the proxy of a frozen process makes of its dumps; see also tests/process/test_frozen.py."""

from __future__ import annotations

import logging
import os
from typing import Any

import pytest

from gresque.processes.scoreboard import Scoreboard
from gresque.processes.spec import ProxySpec
from gresque.settings import Settings
from gresque.store.ledger import LedgerEntry, Totals
from gresque.worker.frozen_proxy import FrozenProxy
from tests.unit.test_stack_dump import HANGS


@pytest.fixture
def proxy() -> FrozenProxy:
    """That of this process, which holds a job in slot 5; its dump is empty yet."""
    (row,) = Scoreboard(1, 1).rows
    row.threads[0] = 6
    post = ProxySpec(
        settings=Settings.load({"queues": "q"}, {}), worker_id="w", process_id="w:1:1",
        pid=os.getpid(), row=row, started="then", counted=Totals, still_since=5.0,
        tell_master=lambda: None,
    )  # fmt: skip
    proxy = FrozenProxy(post)
    raw = b'{"class":"Parse","args":[],"id":"a"}'
    proxy._ledger = {b"5": LedgerEntry(b"resque:queue:q", raw)}
    proxy._running.frozen = 5.0
    return proxy


def test_a_job_that_a_later_dump_shows_is_reported_and_blamed(
    proxy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "gresque.proxy"):
        proxy._look_again()
    assert not caplog.records and proxy._running.blocking is None
    dump = HANGS.replace("low-17", "low-0").replace("high-2", "high-0").encode()
    for written in (dump[:300], dump):
        os.pwrite(proxy._post.row.dump, written, 0)
        for _ in range(2):
            proxy._look_again()
    (record,) = caplog.records
    assert "it hangs in Parse()" in record.getMessage()
    assert (proxy._running.blocking.slot, proxy._running.frozen) == ("5", None)
    assert proxy._standing(b"5")["on_cpu"]
