"""`gresque retries`."""

from __future__ import annotations

import json
import re

import pytest
import redis

from gresque.store.store import Store
from tests.support.cli import Call
from tests.unit.test_inspector_retries import waiting as waiting


def ids(store: Store) -> list[str]:
    return [each.decode() for each in store.redis.zrange(store.keys.later, 0, -1)]


def test_they_are_listed_the_next_one_first(call: Call, waiting: Store) -> None:
    for command in (("retries",), ("retries", "list", "-n", "9")):
        title, first, second, third = call(*command).out.splitlines()
        assert title.split()[:5] == ["RUNS", "IN", "ATTEMPT", "QUEUE", "CLASS"]
        assert "app.unknown!" in first and "no worker that took it knows its name" in first
        assert "put off 1 time in a row" in second
        assert re.search(" 3 +web ", third) and "app.Busy: try" in third
    (one,) = json.loads(call("retries", "--class", "app.fails", "--json").out)
    assert (one["class"], one["attempt"], one["exception"]) == ("app.fails", 3, "app.Busy")
    assert [each["class"] for each in one["errors"]] == ["ValueError", "app.Busy"]
    assert call("retries", "--queue", "none").out == "no such job waits to run again\n"


def test_none(call: Call) -> None:
    assert call("retries").out == "no job waits to run again\n"
    assert call("retries", "now", "--all").out == "no job waits to run again\n"


def test_they_run_now_by_id_and_by_the_end_of_one(
    call: Call, waiting: Store, redis_client: redis.Redis
) -> None:
    unknown, _, _, _, failing = ids(waiting)
    answer = call("retries", "now", unknown, failing[-8:])
    assert (answer.code, answer.out) == (0, "2 jobs run now\n")
    assert redis_client.llen("resque:queue:web") == 2
    answer = call("retries", "now", unknown)
    assert answer.code == 1 and answer.out == ""
    assert f"no retry waits with the id {unknown}; gresque retries lists them" in answer.err


def test_they_are_cancelled_by_what_they_are(call: Call, waiting: Store) -> None:
    answer = call("retries", "cancel", "--exception", "UnknownJob", "--yes")
    assert (answer.code, answer.out) == (0, "1 job cancelled\n")
    assert call("retries", "cancel", "--all", "-y").out == "2 jobs cancelled\n"
    assert len(ids(waiting)) == 2, "what is only delayed stays"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("now",),
            "say which: gresque retries now ID..., or --class, --exception, --queue, or --all",
        ),
        (("cancel", "a", "--all"), "say which: gresque retries cancel ID..."),
        (("cancel", "--queue", ""), "--queue is empty; give a value, or leave it out"),
        (("cancel", "--all"), "stdin is not a terminal; give --yes to skip the confirmation"),
    ],
    ids=range(4),
)
def test_wrong_input_is_one_line(
    call: Call, waiting: Store, arguments: tuple[str, ...], line: str
) -> None:
    answer = call("retries", *arguments)
    assert answer.code == 2 and line in answer.err
    assert len(ids(waiting)) == 5
