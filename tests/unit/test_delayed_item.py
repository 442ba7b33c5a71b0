"""Items of resque-scheduler's lists, as Ruby, Node and PHP programs write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gresque.errors import InvalidPayload
from gresque.jobs.delayed_item import read_item, with_due
from gresque.jobs.ids import enqueued_at


@pytest.mark.parametrize(
    ("args", "sent"),
    [
        (b'[1,1.0e+300,"\xc3\xa4\\u2028",{"b":1,"a":[ ]}]',) * 2,
        (b"[]", b"[]"),
        (b"null", b"[]"),
        (b'{"b":1,"a":2}', b'[{"b":1,"a":2}]'),
        (b'"x"', b'["x"]'),
        (b"5", b"[5]"),
    ],
    ids=["list", "empty", "null", "object", "text", "number"],
)
def test_arguments_keep_their_bytes(args: bytes, sent: bytes) -> None:
    job = read_item(b'{"class":"Mail","args":%b,"queue":"low"}' % args, 1795533391)
    assert (job.name, job.queue) == ("Mail", "low")
    assert job.raw.startswith(b'{"class":"Mail","args":%b,"id":"' % sent)
    assert job.raw.endswith(b'"generation":1,"gresque":{"run_at":1795533391}}')


def test_it_gets_an_id() -> None:
    first, second = (json.loads(read_item(b'{"class":"A"}', 5).raw) for _ in range(2))
    assert first["args"] == []
    assert first["id"] != second["id"]
    assert enqueued_at(first["id"])


def test_what_it_has_stays() -> None:
    item: dict[str, Any] = {
        "class": "A", "args": [1], "queue": "q", "id": "own", "generation": 3,
        "gresque": {"dirty_exit": "fail"}, "expires_at": 99.5, "prefix": "",
    }  # fmt: skip
    job = read_item(json.dumps(item).encode(), 7)
    assert json.loads(job.raw) == {
        "class": "A", "args": [1], "id": "own", "generation": 3, "expires_at": 99.5, "prefix": "",
        "gresque": {"dirty_exit": "fail", "run_at": 7},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("queue", "found"), [("", "declared"), (None, "declared"), (5, "declared")]
)
def test_a_class_may_have_its_queue_elsewhere(queue: Any, found: str) -> None:
    item = json.dumps({"class": "A", "queue": queue}).encode()
    assert read_item(item, 7, lambda name: found if name == "A" else None).queue == found
    assert read_item(item, 7).queue == ""


@pytest.mark.parametrize(
    "item",
    [b"", b"null", b"[1]", b"{", b"{}", b'{"class":5}', b'{"class":"\xff"}', b"[" * 2000],
    ids=["empty", "null", "list", "broken", "no class", "number", "not utf-8", "deep"],
)
def test_what_is_no_job(item: bytes) -> None:
    with pytest.raises(InvalidPayload):
        read_item(item, 5)


@pytest.mark.parametrize(
    ("said", "due", "expires_at"),
    [
        ({}, 500, 400), ({}, 1500, 1400),
        ({"attempt": 2}, 500, 900), ({"attempt": 2}, 1500, 1400),
        ({"snoozes": 1}, 500, 900), ({"unknown_since": 1.5}, 500, 900),
    ],
    ids=range(6),
)  # fmt: skip
def test_to_run_earlier_is_no_reason_to_expire(
    said: dict[str, Any], due: float, expires_at: float
) -> None:
    """The expiry of a job that waits for another attempt does not count from that."""
    item = {"class": "A", "args": [], "expires_at": 900, "gresque": {"run_at": 1000, **said}}
    moved = json.loads(with_due(json.dumps(item).encode(), due))
    assert (moved["expires_at"], moved["gresque"]["run_at"]) == (expires_at, due)
