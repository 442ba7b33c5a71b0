"""Ids of jobs: their shape, their time, and what carries none."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import threading
import time
import uuid
from itertools import islice
from typing import Any

import pytest

import gresque
from gresque.jobs import ids


def test_an_id_is_a_uuid_of_version_7() -> None:
    job_id = ids.new_id()
    assert re.fullmatch("[0-9a-f]{32}", job_id)
    assert uuid.UUID(job_id).variant == uuid.RFC_4122
    assert uuid.UUID(job_id).version == 7


def test_ids_are_unique_and_ascend_with_time() -> None:
    many = list(islice(ids.new_ids(), 100_000))
    assert len({*many, *(ids.new_id() for _ in range(1000))}) == 101_000
    assert [job_id[:12] for job_id in many] == sorted(job_id[:12] for job_id in many)
    assert {len(job_id) for job_id in many} == {32}


def test_the_time_is_in_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.time()
    found = gresque.enqueued_at(ids.new_id())
    assert found is not None
    assert before - 0.001 <= found <= time.time()


def test_each_id_of_a_bulk_has_the_time_at_which_it_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time_ns() // 1_000_000 * 1_000_000
    clock = iter([now, now + 5_000_000_000])
    monkeypatch.setattr("gresque.clock.now_ns", lambda: next(clock))
    one, two = map(ids.enqueued_at, islice(ids.new_ids(), 2))
    assert one is not None
    assert two == one + 5


def at(seconds: float) -> str:
    return f"{int((time.time() + seconds) * 1000):012x}7abc8{'0' * 15}"


YEAR = 365 * 86_400


@pytest.mark.parametrize("seconds", [0, -1, 58, -3600, 60 - YEAR])
def test_times_of_the_last_year_count(seconds: float) -> None:
    found = ids.enqueued_at(at(seconds))
    assert found is not None
    assert abs(found - time.time() - seconds) < 30


FOREIGN: list[Any] = [
    at(3600),  # ahead of any clock
    at(-2 - YEAR),
    at(0)[:12] + "4" + at(0)[13:],
    at(0)[:16] + "7" + at(0)[17:],
    at(0)[:16] + "c" + at(0)[17:],
    at(0).upper(),
    at(0) + "\n",
    at(0)[:-1],
    str(uuid.UUID(at(0))),
    "0" * 32,
    "",
    "id7",
    None,
    7,
    ["x"],
]


@pytest.mark.parametrize("job_id", FOREIGN, ids=range(len(FOREIGN)))
def test_other_ids_carry_no_time(job_id: Any) -> None:
    assert ids.enqueued_at(job_id) is None


def test_random_ids_of_the_fork_carry_no_time() -> None:
    assert [ids.enqueued_at(uuid.uuid4().hex) for _ in range(1000)] == [None] * 1000


def test_a_forked_child_gives_no_id_of_its_parent() -> None:
    ahead: list[str] = []
    while not ahead:
        ids.new_id()
        ahead = list(ids._endings)
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(write, "".join(ids.new_id()[13:] for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    found = os.read(read, 10_000).decode()
    os.close(read)
    os.close(write)
    assert len(found) == 1900
    assert not {found[i : i + 19] for i in range(0, 1900, 19)} & set(ahead)


def test_threads_share_no_id() -> None:
    found: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: found.append([ids.new_id() for _ in range(2000)]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job_id for each in found for job_id in each}) == 16_000


def test_a_job_id_is_a_str() -> None:
    job_id = ids.JobId(ids.new_id())
    text = str(job_id)
    assert type(text) is str
    assert job_id == text
    assert {text: 1}[job_id] == 1
    assert json.dumps([job_id]) == json.dumps([text])
    assert repr(job_id) == repr(text)
    assert not hasattr(job_id, "__dict__")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_job_id_stays_one_through_pickle(protocol: int) -> None:
    job_id = ids.JobId(ids.new_id())
    again = pickle.loads(pickle.dumps(job_id, protocol))
    assert (again, type(again)) == (job_id, ids.JobId)
    assert type(copy.deepcopy(job_id)) is ids.JobId
