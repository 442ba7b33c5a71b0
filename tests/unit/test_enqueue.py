"""The one way in: what happens to a job between the caller and its queue, in which order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import gresque
from gresque.client import default
from gresque.client import enqueue as door
from gresque.client.enqueue import Arguments, definition_of
from gresque.errors import EnqueueError, GresqueError, UnserializableArgument

events: list[Any] = []


@pytest.fixture(autouse=True)
def _no_events_yet() -> None:
    events.clear()


@pytest.fixture
def inline_client() -> Iterator[None]:
    before = default._default
    default._default = gresque.Client(inline=True)
    yield
    default._default = before


class Watched(gresque.Job):
    queue = "q"
    name = "test_enqueue.Watched"
    expires_seconds = 60

    def perform(*args: Any, **kwargs: Any) -> None:
        events.append(("ran", args, kwargs))

    def before_enqueue_note(*args: Any, **kwargs: Any) -> Any:
        events.append(("before", args, kwargs))
        return "rejected" not in args

    def after_enqueue_note(*args: Any, **kwargs: Any) -> None:
        events.append(("after", args, kwargs))


WATCHED = Watched.definition


def push(queue: str, raws: list[bytes]) -> None:
    events.append(("pushed", queue, [json.loads(raw)["args"] for raw in raws]))


def one(*args: Any, **kwargs: Any) -> str | None:
    return door.enqueue(push, "q", WATCHED, args, kwargs)


def test_hooks_push_hooks() -> None:
    job_id = one(1, a=2)
    assert job_id is not None
    assert gresque.enqueued_at(job_id) is not None
    assert events == [
        ("before", (1,), {"a": 2}),
        ("pushed", "q", [[1, {"a": 2, "_kwargs": True}]]),
        ("after", (1,), {"a": 2}),
    ]


def test_each_enqueue_returns_job_ids(inline_client: None) -> None:
    ids = [
        one(1),
        *next(door.enqueue_bulks(push, "q", WATCHED, calls_of(1, 2))),
        Watched.enqueue(1),
        gresque.enqueue(Watched, 1),
        gresque.enqueue_to("other", Watched, 1),
        *gresque.enqueue_many(Watched, [(1,), (2,)]),
    ]
    assert [type(job_id) for job_id in ids] == 8 * [gresque.JobId]


def test_an_id_may_be_an_argument() -> None:
    job_id = gresque.JobId("07")
    one(job_id, [job_id], {job_id: job_id}, of=job_id)
    assert events[1] == (
        "pushed", "q", [["07", ["07"], {"07": "07"}, {"of": "07", "_kwargs": True}]]
    )  # fmt: skip
    assert WATCHED.call_of([job_id], {}) == WATCHED.call_of(["07"], {})


def test_a_rejected_job_goes_nowhere() -> None:
    assert one("rejected") is None
    assert events == [("before", ("rejected",), {})]


def test_arguments_are_checked_before_a_hook_sees_them() -> None:
    with pytest.raises(UnserializableArgument):
        one({1})
    assert events == []


def test_what_fails_to_be_pushed_has_no_after_hooks() -> None:
    def refuse(queue: str, raws: list[bytes]) -> None:
        raise EnqueueError("no")

    with pytest.raises(EnqueueError):
        door.enqueue(refuse, "q", WATCHED, (1,), {})
    assert [event[0] for event in events] == ["before"]


def test_without_push_it_runs_in_its_place() -> None:
    assert door.enqueue(None, "q", WATCHED, ((1,),), {"a": 2})
    assert [event[0] for event in events] == ["before", "ran", "after"]
    assert events[1] == ("ran", ([1],), {"a": 2})


def calls_of(*args: Any) -> Iterator[Arguments]:
    for arg in args:
        events.append(("call", arg))
        yield (arg,), {}


def test_a_bulk_is_pushed_as_one_and_its_after_hooks_follow() -> None:
    (ids,) = door.enqueue_bulks(push, "q", WATCHED, calls_of(1, "rejected", 2))
    assert len(ids) == 2
    assert [event[:1] + event[1:][-1:] for event in events if event[0] in ("pushed", "after")] == [
        ("pushed", [[1], [2]]), ("after", {}), ("after", {}),
    ]  # fmt: skip


def test_the_calls_of_a_bulk_are_read_as_they_are_needed() -> None:
    bulks = door.enqueue_bulks(push, "q", WATCHED, calls_of(*range(1500)))
    assert len(next(bulks)) == 1000
    assert events.count(("call", 999)) == 1
    assert ("call", 1000) not in events
    assert [len(ids) for ids in bulks] == [500]


def test_a_wrong_call_stops_its_bulk() -> None:
    with pytest.raises(
        UnserializableArgument,
        match=r"job 1 of the bulk: test_enqueue\.Watched: argument 1 is a set",
    ):
        list(door.enqueue_bulks(push, "q", WATCHED, calls_of(1, {2}, 3)))
    assert "pushed" not in [event[0] for event in events]


def test_a_wrong_call_ends_the_calls_where_somebody_notes_it() -> None:
    noted: list[GresqueError] = []
    (ids,) = door.enqueue_bulks(push, "q", WATCHED, calls_of(1, {2}, 3), noted.append)
    assert len(ids) == 1
    assert [str(error) for error in noted] == [
        "test_enqueue.Watched: argument 1 is a set, which JSON cannot carry; pass list(x), and "
        "read it in the job with set(x)"
    ]
    assert ("call", 3) not in events


def test_a_name_that_is_declared_here_is_that_job() -> None:
    assert definition_of("test_enqueue.Watched", "other") is WATCHED
    foreign = definition_of("Ruby::Job", "other")
    assert (foreign.name, foreign.queue) == ("Ruby::Job", "other")
    assert definition_of("Ruby::Job", "other") is foreign, "made once"


@pytest.mark.parametrize("job", ["Ruby::Job", None, 5, print, gresque.Job])
def test_what_is_no_job(job: Any) -> None:
    with pytest.raises(EnqueueError):
        definition_of(job)
