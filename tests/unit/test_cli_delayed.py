"""`gresque delayed`, as a user calls it."""

from __future__ import annotations

import json
import time

import pytest

import gresque
from gresque.store.store import Store
from tests.support.cli import ESCAPE, Call


@pytest.fixture
def ids(client: gresque.Client, store: Store) -> list[str]:
    """Of four jobs, an hour, two, three and five hours from now; the fourth is one of Ruby's, due
    in four hours, and at last there is a retry."""
    made = [
        client.options(name, queue=queue, in_=3600 * hours + 30).enqueue(hours, k=1)
        for name, queue, hours in [
            ("A", "mail", 1),
            ("B", "mail", 2),
            ("A", "low", 3),
            ("C", "low", 5),
        ]
    ]
    due = int(time.time()) + 4 * 3600 + 30
    store.redis.rpush(f"resque:delayed:{due}", '{"class":"R","args":[4],"queue":"ruby"}')
    store.redis.zadd("resque:delayed_queue_schedule", {str(due): due})
    jobs = client.delayed(0, 9)
    assert [job.id for job in jobs if job.name != "R"] == made
    retry = b'{"class":"A","args":[],"gresque":{"attempt":2}}'
    store.redis.zadd("resque:later", {"retry": 10**12})
    store.redis.hset("resque:later:jobs", "retry", b"17:resque:queue:mail" + retry)
    return [job.id for job in jobs]


class TestList:
    def test_none(self, call: Call) -> None:
        assert call("delayed") == (0, "no delayed jobs\n", "")
        assert json.loads(call("delayed", "--json").out) == []

    def test_the_next_due_one_first(self, call: Call, ids: list[str]) -> None:
        lines = call("delayed").out.splitlines()
        assert lines[0].split() == [
            "DUE",
            "IN",
            "DUE",
            "AT",
            "QUEUE",
            "CLASS",
            "JOB",
            "ID",
            "ARGUMENTS",
        ]
        assert [line.split()[0] for line in lines[1:]] == ["60", "2.0", "3.0", "4.0", "5.0"]
        assert [job_id in line for job_id, line in zip(ids, lines[1:], strict=True)] == [True] * 5
        assert lines[1].endswith('[1] {"k": 1}') and lines[4].endswith("[4]")

    def test_json(self, call: Call, ids: list[str]) -> None:
        found = json.loads(call("delayed", "list", "--json").out)
        assert [job["id"] for job in found] == ids
        assert (found[0]["class"], found[0]["queue"], found[0]["kwargs"]) == ("A", "mail", {"k": 1})
        assert found[0]["due"] == pytest.approx(time.time() + 3630, abs=30)
        assert found[3]["args"] == [4]

    @pytest.mark.parametrize(
        ("options", "found"),
        [
            ("--class A", [1, 3]),
            ("--queue low", [3, 5]),
            ("--class A --queue low", [3]),
            ("--before 150m", [1, 2]),
            ("--offset 1 -n 2", [2, 3]),
            ("--queue mail --offset 1", [2]),
            ("--class none", []),
        ],
        ids=str,
    )
    def test_some(self, call: Call, ids: list[str], options: str, found: list[int]) -> None:
        jobs = json.loads(call("delayed", *options.split(), "--json").out)
        assert [job["args"][0] for job in jobs] == found

    def test_odd_data(self, call: Call, store: Store) -> None:
        now = int(time.time())
        store.redis.zadd("resque:later", {ESCAPE: (now - 100) * 1000})
        store.redis.hset("resque:later:jobs", ESCAPE, f"15:resque:queue:q\xff{ESCAPE}")
        store.redis.rpush("resque:delayed:x", "\xff", "null")
        store.redis.zadd("resque:delayed_queue_schedule", {"x": 1e300})
        out = call("delayed").out
        assert out.replace("\n", "").isprintable()
        assert " ago  " in out
        assert len(json.loads(call("delayed", "--json").out)) == 3


class TestChanges:
    def test_run(self, call: Call, client: gresque.Client, ids: list[str]) -> None:
        code, out, _ = call("delayed", "run", ids[0], ids[3])
        assert (code, out) == (0, f"{ids[0]}: in its queue\n{ids[3]}: in its queue\n")
        assert [job["args"] for job in client.peek("mail", 0, 9)] == [[1]]
        assert [job["args"] for job in client.peek("ruby", 0, 9)] == [[4]]
        code, out, _ = call("delayed", "run", ids[0], ids[1], "--json")
        assert code == 1
        assert [(row["id"], row["done"]) for row in json.loads(out)] == [
            (ids[0], False), (ids[1], True),
        ]  # fmt: skip
        assert call("delayed", "run", "none").code == 2

    def test_move(self, call: Call, client: gresque.Client, ids: list[str]) -> None:
        assert call("delayed", "move", ids[0], "--in", "1d").out == f"{ids[0]}: due in 24.0 h\n"
        assert call("delayed", "move", ids[1], "--at", "2126-01-01T00:00Z").code == 0
        assert [job.id for job in client.delayed(0, 9)][-2:] == [ids[0], ids[1]]
        assert client.delayed(5)[0].due.year == 2126

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ([], "say when: give either --in or --at"),
            (["--in", "1d", "--at", "5"], "say when"),
            (["--in", "soon"], "is not an age"),
            (["--at", "2126-01-01T00:00"], "has no time zone; write 2126-01-01T00:00Z for UTC"),
            (["--at", "tomorrow"], "is not a time, such as 2026-12-24T18:00"),
            (["--at", "1e13"], "beyond the year 9999"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_wrong_times(self, call: Call, ids: list[str], options: list[str], error: str) -> None:
        code, _, err = call("delayed", "move", ids[0], *options)
        assert code == 2 and error in err

    def test_cancel(self, call: Call, client: gresque.Client, ids: list[str]) -> None:
        assert call("delayed", "cancel", ids[0], ids[3]).out.endswith(f"{ids[3]}: cancelled\n")
        assert client.delayed_count() == 4
        code, _, err = call("delayed", "cancel", "--queue", "low")
        assert code == 2 and "--yes" in err
        assert call("delayed", "cancel", "--queue", "low", "--yes").out == "cancelled 2 jobs\n"
        assert [job.id for job in client.delayed(0, 9)] == ["retry", ids[1]], "no retry goes along"
        code, _, err = call("delayed", "cancel", "--queue", "low", "--yes")
        assert code == 2 and "no such delayed job" in err
        for wrong in ([], [ids[0], "--queue", "low"]):
            assert "give either the ids" in call("delayed", "cancel", *wrong).err

    def test_one_without_a_queue(self, call: Call, client: gresque.Client, store: Store) -> None:
        store.redis.rpush("resque:delayed:4000000000", '{"class":"R"}')
        store.redis.zadd("resque:delayed_queue_schedule", {"4000000000": 4e9})
        code, out, _ = call("delayed", "run", client.delayed()[0].id)
        assert code == 2 and "R names no queue" in out
        assert client.delayed_count() == 1


def test_queues_and_check_know_of_them(call: Call, ids: list[str], store: Store) -> None:
    assert call("queues").out.splitlines()[-1].split() == ["(wait", "for", "their", "time)", "6"]
    assert "scheduler" not in call("check").out
    store.redis.set("resque:resque_scheduler_leader_lock", "node-7", ex=99)
    out = call("check").out
    assert "left to another scheduler (node-7, by resque:resque_scheduler_leader_lock)" in out
