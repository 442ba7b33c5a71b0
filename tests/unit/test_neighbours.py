"""Other Resques beside gresque: what they do with what it writes, and it with what they write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

import gresque
from gresque.failure.entry import encode_entry
from gresque.failure.kept_item import out_of_entry
from gresque.failure.retry import prepare_retry
from gresque.jobs import payload
from gresque.jobs.delayed_item import read_item
from gresque.jobs.perform import perform_here
from tests.support.neighbours import FAILED, MOVES, Node, Stock, dumps, failed_row

WIRE = Path(__file__).parents[1] / "wire"
CAPTURED: dict[str, list[list[str]]] = json.loads((WIRE / "moves.json").read_text())
WORKER = "vm:10:mail,bulk:2:4:100"


@pytest.fixture
def stock(redis_client: redis.Redis) -> Stock:
    return Stock(redis_client)


@pytest.mark.parametrize("move", CAPTURED)
def test_they_do_what_they_were_seen_to_do(move: str) -> None:
    for taken, pushed in CAPTURED[move]:
        assert dumps(MOVES[move](json.loads(taken))) == pushed.encode()


# Keywords

CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("c1",), {"amount": 500, "dry_run": True}),
    ((), {"customer": "ünï", "amount": None}),
    (("c1", {"deep": [1, {"_kwargs": 5}]}), {"dry_run": {"a": 1}}),
    (("c1",), {}),
]


@pytest.mark.parametrize(("args", "kwargs"), CALLS, ids=range(len(CALLS)))
@pytest.mark.parametrize("move", MOVES)
def test_keywords_survive_any_retry_delay_and_move(
    move: str, args: tuple[Any, ...], kwargs: dict[str, Any], own_registry: None
) -> None:
    got: list[Any] = []

    @gresque.job(queue="py", name="NeighbourCharge")
    def charge(customer: Any, amount: Any = 1, dry_run: Any = False) -> None:
        got.append((customer, amount, dry_run))

    raw = payload.encode("NeighbourCharge", args, kwargs, "7")
    moved = dumps(MOVES[move](json.loads(raw)))
    assert payload.split(payload.decode(moved).args) == ([*args], kwargs)
    if "delays" in move:
        moved = read_item(moved, 1.0).raw
    perform_here(charge.definition, "py", raw)
    perform_here(charge.definition, "py", moved)
    assert got[0] == got[1]


@pytest.mark.parametrize("first", MOVES)
def test_keywords_survive_one_after_the_other(first: str) -> None:
    item = json.loads(payload.encode("J", (1,), {"k": 2}, "7"))
    for move in (MOVES[first], *MOVES.values()):
        item = json.loads(dumps(move(item)))
    assert payload.split(payload.decode(dumps(item)).args) == ([1], {"k": 2})


def test_stock_dequeues_by_class_and_not_by_arguments(
    stock: Stock, client: gresque.Client, redis_client: redis.Redis, own_registry: None
) -> None:
    """It compares bytes, and an id stands in those of gresque. gresque compares arguments."""
    client.enqueue_to("py", "Echo", 1, k=2)
    assert stock.dequeue("py", "Echo", 1, {"k": 2, "_kwargs": True}) == 0
    assert stock.dequeue("py", "Echo") == 1
    redis_client.rpush("resque:queue:py", dumps({"class": "NeighbourEcho", "args": [1]}))

    @gresque.job(queue="py", name="NeighbourEcho")
    def echo(number: int) -> None: ...

    assert client.dequeue(echo, 1) == 1


# Shapes


def items(client: gresque.Client) -> None:
    """A queue item of each kind that gresque writes."""
    client.enqueue_to("py", "Echo")
    client.enqueue_to("py", "Echo", 1, None, "ünï \u2028", [1.5, {"a": []}])
    client.enqueue_to("py", "Echo", 1, k=2)
    plain = gresque.job(queue="py", name="NeighbourPlain", on_dirty_exit="fail", retries=3,
                        expires_seconds=60, filter_args=["a"], result_ttl_seconds=9)  # fmt: skip
    unique = gresque.job(queue="py", name="NeighbourUnique", unique="both")
    client.enqueue(plain(lambda a: None), 1)
    client.enqueue(unique(lambda a: None), 1)


def test_queue_items_are_read_and_shown(
    stock: Stock, client: gresque.Client, redis_client: redis.Redis, own_registry: None
) -> None:
    items(client)
    rows = stock.queue_page("py")
    assert [name for name, _ in rows] == ["Echo"] * 3 + ["NeighbourPlain", "NeighbourUnique"]
    for raw in redis_client.lrange("resque:queue:py", 0, -1):
        item = json.loads(raw)
        assert [*item][:4] == ["class", "args", "id", "generation"], "the fork's order"
        assert {*item} <= {"class", "args", "id", "generation", "gresque", "expires_at"}
        assert isinstance(item["id"], str) and item["generation"] == 1
    assert redis_client.smembers("resque:queues") == {b"py"}
    assert stock.info() == {
        "pending": 5, "processed": 0, "failed": 0, "workers": 0, "queues": 1
    }  # fmt: skip


def test_delayed_jobs_stand_in_no_key_of_resque_scheduler(
    client: gresque.Client, redis_client: redis.Redis, own_registry: None
) -> None:
    """Its pages and its process see none of them, and move none."""
    client.enqueue_in(300, gresque.job(queue="py", name="NeighbourLater")(lambda: None))
    keys = {key.decode().split(":")[1] for key in redis_client.keys("resque:*")}
    assert keys <= {"later", "producer", "queues"}


ITEMS = [
    b'{"class":"Charge","args":["c1",{"amount":5,"_kwargs":true}],"id":"7","generation":1}',
    b'{"class":"Plain","args":[]}',
    b'{"class":"NoArgs"}',
    b'{"class":"Null","args":null}',
    '{"class":"Ünï","args":["\u2028\x7f \\u0001 / \\" é😀"]}'.encode(),
    b"not json", b"", b"\xff\x00", b'{"args":[1]}', b"null", b'{"class":5,"args":[]}',
    b'{"class":"A","args":{"a":1}}', b'{"class":"A","args":["\\ud800"]}',
]  # fmt: skip
ERRORS = ["boom", "", 'ünï \u2028 \x00 \x1b[2J \\ " /', "\ud800", "a\nb", "x" * 20_000]


@pytest.fixture
def failed(redis_client: redis.Redis) -> list[bytes]:
    raws = [
        encode_entry(raw, "app.errors.Boom", error, ["a.py:1:in `f'", "ü \x00"], WORKER, "py")
        for raw in ITEMS
        for error in ERRORS
    ]
    redis_client.rpush(FAILED, *raws)
    return raws


def test_failed_entries_are_shown(stock: Stock, failed: list[bytes]) -> None:
    rows = stock.failed_page()
    assert len(rows) == len(ITEMS) * len(ERRORS)
    assert {row["where"] for row in rows} == {("vm", 10, ("mail,bulk", "2", "4", "100"))}
    names = {row["class"] for row in rows}
    assert names == {"Charge", "Plain", "NoArgs", "Null", "Ünï", "gresque.InvalidPayload"}


def test_failed_entries_are_requeued_and_nothing_is_lost(
    stock: Stock, failed: list[bytes], redis_client: redis.Redis
) -> None:
    """What they push is the job with its arguments; of an item that was no job one that holds it,
    and which a worker turns into the item again."""
    stock.requeue_all()
    pushed = redis_client.lrange("resque:queue:py", 0, -1)
    found = [out_of_entry(raw) for raw in pushed]
    for position, item in enumerate(ITEMS):
        for raw, inner in [*zip(pushed, found, strict=True)][position * len(ERRORS) :][
            : len(ERRORS)
        ]:
            if inner is not None:
                assert inner == item
            else:
                ours, theirs = json.loads(item), json.loads(raw)
                assert (theirs["class"], theirs["args"]) == (ours["class"], ours.get("args") or [])
    assert all("retried_at" in json.loads(raw) for raw in redis_client.lrange(FAILED, 0, -1))
    stock.failed_page()
    stock.remove(0)
    assert redis_client.llen(FAILED) == len(failed) - 1


def test_node_retries_failed_entries(failed: list[bytes], redis_client: redis.Redis) -> None:
    """It removes an entry by the bytes that it would write itself."""
    node = Node(redis_client)
    assert all(node.retry_and_remove(raw) for raw in failed)
    assert redis_client.llen(FAILED) == 0
    assert redis_client.llen("resque:queue:py") == len(failed)


def test_retried_entries_are_as_theirs(failed: list[bytes]) -> None:
    captured = json.loads((WIRE / "fork_failed_entry_retried.json").read_bytes())
    for raw in failed:
        marked = prepare_retry(raw, "2026/11/23 15:33:36").marked
        assert [*json.loads(marked)] == [*captured]
        failed_row(marked)
