"""What a program says of unique jobs: declarations, options, hooks."""

from __future__ import annotations

import pytest
import redis

import gresque
from gresque.errors import EnqueueError
from gresque.store.store import Store
from tests.support.unique_jobs import (
    of_site,
    ran,
    sync,
    waiting,
)

HOUR = 3_600_000

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    ran.clear()


# Declarations


def test_what_a_declaration_says(client: gresque.Client, store: Store) -> None:
    class Declared(gresque.Job):
        queue = "q"
        name = "Unique.Declared"
        unique = "both"
        on_duplicate = "replace"

        def unique_key(site: int, part: str) -> int:
            return site

        def perform(site: int, part: str) -> None: ...

    first = client.enqueue(Declared, 7, "a")
    assert first is not None
    for enqueue in (
        lambda: client.enqueue(Declared, 7, "b"),
        lambda: client.enqueue_to("other", Declared, 7, "b"),
        lambda: client.enqueue_in(60, Declared, 7, "b"),
        lambda: client.enqueue_at(9e9, Declared, 7, "b"),
        lambda: client.options(Declared, queue="other").enqueue(7, "b"),
        lambda: client.enqueue_many(Declared, [(7, "b")])[0],
        lambda: client.enqueue_many(Declared, [(7, "b")], in_=60)[0],
    ):
        found = enqueue()
        assert (found, found.duplicate) == (first, True)  # type: ignore[union-attr]
    assert waiting(store) == [(first, [7, "a"])]
    assert store.queues.names() == ["q"]


def test_a_class_without_perform_is_no_job() -> None:
    class Mixin(gresque.Job):
        unique = "both"

    with pytest.raises(EnqueueError, match="is not a job"):
        Mixin.enqueue_unique()


def test_a_declaration_that_contradicts_itself() -> None:
    with pytest.raises(gresque.JobDeclarationError, match=r"^job .*debounce needs a lock"):
        gresque.job("q", unique="running", debounce=5)(of_site)
    with pytest.raises(gresque.JobDeclarationError, match=r"^job .*max_wait belongs to debounce"):

        class Wrong(gresque.Job):
            queue = "q"
            name = "Unique.Wrong"
            max_wait = 5

            def perform() -> None: ...


def test_options_of_a_call_that_contradict_the_declaration(client: gresque.Client) -> None:
    job = gresque.job("q", name="Unique.both", unique="both")(of_site)
    with pytest.raises(EnqueueError, match="throttle and unique exclude each other"):
        job.options(throttle=5)
    with pytest.raises(EnqueueError, match="throttle and unique exclude each other"):
        client.options("Unique.both", throttle=5)
    with pytest.raises(EnqueueError, match="is debounced, which sets its time"):
        job.options(debounce=5, in_=7).enqueue(1)
    with pytest.raises(EnqueueError, match="is throttled, which sets its time"):
        client.options(sync, throttle=5).enqueue_many([(1,)], spread=7)
    with pytest.raises(TypeError, match="unexpected keyword argument 'uniqe'"):
        job.options(uniqe="both")  # type: ignore[call-arg]


def test_the_hooks_of_a_duplicate(client: gresque.Client) -> None:
    class Hooked(gresque.Job):
        queue = "q"
        name = "Unique.Hooked"
        unique = "queued"

        def perform(n: int) -> None: ...
        def before_enqueue_it(n: int) -> bool:
            ran.append(("before", n))
            return n > 0

        def after_enqueue_it(n: int) -> None:
            ran.append(("after", n))

        def after_schedule_it(n: int) -> None:
            ran.append(("schedule", n))

    assert client.enqueue(Hooked, 0) is None
    client.enqueue(Hooked, 1)
    client.enqueue(Hooked, 1)
    client.enqueue_in(5, Hooked, 2)
    client.enqueue_in(5, Hooked, 2)
    client.options(Hooked, on_duplicate="replace").enqueue(1)
    assert ran == [
        ("before", 0), ("before", 1), ("after", 1), ("before", 1),
        ("before", 2), ("schedule", 2), ("after", 2), ("before", 2), ("before", 1), ("after", 1),
    ]  # fmt: skip


def test_inline_jobs_run_at_once(redis_url: str, redis_client: redis.Redis) -> None:
    client = gresque.Client(redis_url, inline=True)
    for options in (
        {"unique": "both"}, {"unique": "queued"}, {"unique": "running", "in_": 5},
        {"debounce": 5}, {"throttle": 5, "trailing": True},
    ):  # fmt: skip
        found = client.options(sync, **options).enqueue(7)  # type: ignore[arg-type]
        assert found is not None
        assert not found.duplicate
    assert len(client.options(sync, unique="both").enqueue_many([(7,), (7,)])) == 2
    assert ran == [(7, "all")] * 7
    with pytest.raises(EnqueueError, match="unique_key gave None"):
        client.options(sync, unique="both", unique_key=lambda site: None).enqueue(7)
    assert redis_client.keys() == []
