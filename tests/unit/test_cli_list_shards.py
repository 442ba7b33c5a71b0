"""`gresque shards`: three shards, of which one is away."""

from __future__ import annotations

import json

import pytest

from gresque.store.store import Store
from tests.support.cli import Call


@pytest.fixture
def urls(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    urls = [f"a={redis_url}", f"drain:b={redis_url}?db=1", "away=redis://:secret@127.0.0.1:1"]
    monkeypatch.setenv("REDIS_URLS", " ".join(urls))
    return urls


def test_the_shards(
    call: Call, urls: list[str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL")
    for number in range(3):
        store.enqueuer.push("q", [b'{"class":"J","args":[%d]}' % number])
    answer = call("shards")
    assert answer.code == 0
    first, second, third = answer.out.splitlines()[1:]
    assert first.split()[0] == "a"
    assert "master" in first
    assert first.split()[3] == "3"
    assert second.split()[0] == "b"
    assert second.rstrip().endswith("yes")
    assert third.split()[:3] == ["away", "127.0.0.1:1", "away"]
    assert "secret" not in answer.out + answer.err
    assert "shard away does not answer" in answer.err
    found = json.loads(call("shards", "--json").out)
    assert [(row["name"], row["drains"], row.get("waiting")) for row in found] == [
        ("a", False, 3),
        ("b", True, 0),
        ("away", False, None),
    ]
    assert found[0]["memory_bytes"] > 0
    assert found[0]["cpu"] >= 0
    assert found[2]["missing"].startswith("no answer from Redis")
    (only,) = json.loads(call("shards", "--shard", "b", "--json").out)
    assert (only["name"], only["drains"]) == ("b", True)


def test_one_server(call: Call, store: Store) -> None:
    (row,) = json.loads(call("shards", "--json").out)
    assert (row["waiting"], row["role"], row["drains"]) == (0, "master", False)
