"""Marks, by hand."""

from __future__ import annotations

import time

import pytest
import redis

from gresque.control.marks import mark
from gresque.errors import GresqueError
from gresque.inspector.metrics import MetricsReader
from gresque.store.metric_fields import MARKS_KEPT, MOST_MARKS
from gresque.store.store import Store
from tests.support.cli import Call


def test_the_command(call: Call, store: Store) -> None:
    before = time.time() - 1
    assert call("mark", "deploy", "8f31c2") == (0, "marked\n", "")
    (found,) = MetricsReader(store).marks(before)
    assert (found.kind, found.text) == ("mark", "deploy 8f31c2")
    assert "@" in found.by
    assert before <= found.at <= time.time() + 1
    assert call("mark", " ").err == (
        "gresque: a mark needs a text; give one such as 'deploy 8f31c2'\n"
    )
    assert call("mark").code == 2


def test_a_text_has_one_line_of_limited_length(store: Store) -> None:
    mark(store, "a\n  b", by="me")
    assert MetricsReader(store).marks(0)[0].text == "a b"
    with pytest.raises(GresqueError, match="has 201 characters; give at most 200"):
        mark(store, "x" * 201, by="me")


def test_marks_are_bounded(store: Store, redis_client: redis.Redis) -> None:
    for _ in range(MOST_MARKS + 200):
        store.metrics.mark("mark", "x", "me")
    assert redis_client.xlen("resque:marks") <= MOST_MARKS + 100
    assert 0 < redis_client.ttl("resque:marks") <= MARKS_KEPT
    assert len(MetricsReader(store).marks(0)) <= MOST_MARKS


def test_a_key_of_another_program_is_left_alone(store: Store, redis_client: redis.Redis) -> None:
    redis_client.set("resque:marks", "x")
    mark(store, "deploy", by="me")
    assert redis_client.get("resque:marks") == b"x"
