"""Pausing and limiting from outside: the log says who did it, once."""

from __future__ import annotations

import pytest

from gresque.control.flow import CAP, RATE, limit, pause, pause_all, unpause, unpause_all
from gresque.inspector.metrics import MetricsReader
from gresque.store.policies import Policy, Rate
from gresque.store.store import Store

BY = "joe@vm"


def test_the_log_says_who_did_what(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gresque.control")
    assert pause(store, "mail\n", by=BY) and not pause(store, "mail\n", by=BY)
    assert unpause(store, "mail\n", by=BY) and not unpause(store, "mail\n", by=BY)
    assert pause_all(store, by=BY) and not pause_all(store, by=BY)
    assert unpause_all(store, by=BY) and not unpause_all(store, by=BY)
    assert limit(store, "mail", 5, Rate(5, 1_000, 1), by=BY).after == Policy(
        False, 5, Rate(5, 1_000, 1)
    )
    assert limit(store, "mail", 6, None, drop=RATE, by=BY).after == Policy(False, 6)
    assert limit(store, "mail", None, None, drop=CAP + RATE, by=BY).after == Policy()
    assert [record.getMessage() for record in caplog.records] == [
        r"joe@vm paused queue mail\n",
        r"joe@vm unpaused queue mail\n",
        "joe@vm paused all queues",
        "joe@vm unpaused all queues",
        "joe@vm set the limits of queue mail: at most 5 jobs at once, 5/s evenly",
        "joe@vm set the limits of queue mail: at most 6 jobs at once",
        "joe@vm set the limits of queue mail: no limits",
    ]


def test_pauses_are_marked(store: Store) -> None:
    assert pause(store, "mail", by=BY) and not pause(store, "mail", by=BY)
    assert unpause(store, "mail", by=BY) and not unpause(store, "mail", by=BY)
    assert pause_all(store, by=BY) and unpause_all(store, by=BY)
    marks = MetricsReader(store).marks(0)
    assert [(mark.kind, mark.text, mark.by) for mark in marks] == [
        ("pause", "queue mail", BY),
        ("unpause", "queue mail", BY),
        ("pause", "all queues", BY),
        ("unpause", "all queues", BY),
    ]
