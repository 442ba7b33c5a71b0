"""A running job as the page of the Ruby fork reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gresque.worker.native.published_job import MOST_BYTES, SHORT_BYTES, published_job
from tests.support.captures import captured


def of(item: Any, most_bytes: int = MOST_BYTES) -> Any:
    raw = item if isinstance(item, bytes) else json.dumps(item, ensure_ascii=False).encode()
    return json.loads(published_job("py", 1795699407.9, raw, most_bytes))


def test_it_is_what_the_fork_writes_to_the_byte() -> None:
    keys = captured("fork_worker_running")
    forks = keys["resque:worker:vm:12335:py:1:2:10:12352:0"]["value"]
    raw = forks[forks.index('{"class"') : -1].encode()
    assert published_job("py", 1795699407.9, raw) == forks.encode()


@pytest.mark.parametrize("args", ["x" * 20_000, '"\\' * 9_000, "é☃😀" * 4_000, "\u0000" * 9_000])
@pytest.mark.parametrize("most_bytes", [MOST_BYTES, SHORT_BYTES])
def test_a_long_payload_is_cut_to_valid_json(args: str, most_bytes: int) -> None:
    found = of({"class": "A", "args": [args], "id": "7"}, most_bytes)
    payload = found.pop("payload")
    assert found == {"queue": "py", "run_at": "2026-11-26T13:23:27Z"}
    assert (payload["class"], payload["id"]) == ("A", "7")
    (text,) = payload["args"]
    assert 'bytes, of which these are the first: ["' in text
    assert len(json.dumps(payload).encode()) < 3 * most_bytes


def nested(depth: int) -> dict[str, Any]:
    item: Any = []
    for _ in range(depth):
        item = [item]
    return {"class": "A", "args": item}


def test_what_ruby_could_not_read_is_cut() -> None:
    assert of(nested(80))["payload"] == nested(80)
    (text,) = of(nested(99))["payload"]["args"]
    assert text.startswith("200 bytes, of which these are the first: [[[")


@pytest.mark.parametrize(
    "raw", [b'{"class":"A","args":["\xff"]}', b"no json", b"[1]", b'{"class":7,"args":1}']
)
def test_anything_else_is_valid_json_as_well(raw: bytes) -> None:
    assert of(raw)["queue"] == "py"


def test_names_that_are_not_utf8() -> None:
    item = json.dumps({"class": "C" * 500, "args": ["x" * 20_000], "id": {"a": 1}}).encode()
    found = json.loads(published_job("q\udcff", 0.0, item))
    assert found["queue"] == "q\\udcff"
    assert (len(found["payload"]["class"]), found["payload"]["id"]) == (100, "{'a': 1}")
