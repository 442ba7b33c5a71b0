"""An outage is logged when it begins and when it is over, not at each try."""

from __future__ import annotations

import logging

import pytest
import redis

from gresque.connection.outage import Outage

log = logging.getLogger("gresque.test")
GONE = redis.ConnectionError("refused")


def test_two_records(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("redis://:secret@host/0", log, 0.1, 0.4)
    assert not outage.lasts
    assert outage.note_answer() is False
    waits = [outage.note_error(GONE) for _ in range(4)]
    assert outage.lasts
    for wait, limit in zip(waits, (0.1, 0.2, 0.4, 0.4), strict=True):
        assert limit / 2 <= wait <= limit
    assert outage.note_answer() is True
    assert not outage.lasts
    away, back = caplog.records
    assert away.getMessage() == "no answer from Redis at host:6379 (refused); waiting for it"
    assert (vars(away)["event"], vars(back)["event"]) == ("redis_away", "redis_back")
    assert back.getMessage() == "Redis is back after 0.0 s"


def test_the_next_one_begins_with_the_first_wait(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("redis://host", log, 0.1, 100.0)
    for _ in range(5):
        outage.note_error(GONE)
    outage.note_answer()
    assert outage.note_error(GONE) <= 0.1
    assert len(caplog.records) == 3
