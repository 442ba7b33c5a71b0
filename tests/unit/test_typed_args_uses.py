"""Typed arguments in keys, bulks, delays, schedules and the testing kit."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from unittest import mock

import pytest
import redis

import gresque
import gresque.testing
from gresque.errors import UnserializableArgument, WrongArguments
from gresque.jobs.perform import perform_here
from gresque.schedule.declared import declared
from tests.support.typed_jobs import declare, got, of_type
from tests.support.typed_jobs import none_got_fixture as none_got_fixture

pytestmark = pytest.mark.usefixtures("own_registry", "none_got")


def test_a_key_is_made_of_the_wire(client: gresque.Client, redis_client: redis.Redis) -> None:
    def sync(value: date, sites: set[str] | None = None) -> None: ...

    job = declare(sync, unique="queued")
    first = client.enqueue(job, date(2026, 1, 1), sites={"b", "a", "c"})
    for again in ({"c", "a", "b"}, ["b", "c", "a"]):
        assert client.enqueue(job, "2026-01-01", again) == first
    assert redis_client.llen("resque:queue:q") == 1
    assert client.dequeue(job, date(2026, 1, 1), {"a", "b", "c"}) == 1
    client.enqueue_in(60, job, date(2026, 1, 2))
    assert client.remove_delayed(job, date(2026, 1, 1)) == 0
    assert client.remove_delayed(job, date(2026, 1, 2)) == 1


def test_the_function_of_a_key_gets_the_types(client: gresque.Client) -> None:
    job = of_type(date, unique="queued", unique_key=lambda value: str(value.year))
    first = client.enqueue(job, date(2026, 1, 1))
    assert client.enqueue(job, "2026-12-31") == first
    assert client.enqueue(job, date(2027, 1, 1)) != first


def test_schedules_take_both() -> None:
    declared.clear()
    job = of_type(datetime)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for number, value in enumerate((at, "2026-01-01T00:00:00+00:00")):
        gresque.every(60, name=f"positional {number}", args=(value,))(job)
        gresque.every(60, name=f"named {number}", args={"value": value})(job)
    wires = [entry.args for entry in declared]
    one = "2026-01-01T00:00:00Z"
    assert wires == [[one], [{"value": one, "_kwargs": True}]] * 2
    with pytest.raises(gresque.ScheduleError, match="argument 'value' does not fit"):
        gresque.every(60, name="wrong", args=(7,))(job)
    declared.clear()


def test_a_bare_name_of_another_program_converts_nothing(client: gresque.Client) -> None:
    with pytest.raises(UnserializableArgument, match=r"Ruby: argument 1 is a datetime.date"):
        client.enqueue_to("q", "Ruby", date(2026, 1, 1))


def test_bulks_and_delays(client: gresque.Client, redis_client: redis.Redis) -> None:
    job, day = of_type(date), date(2026, 1, 1)
    client.enqueue_many(job, [(day,), {"value": day}])
    client.enqueue_in(60, job, day)
    raws = redis_client.lrange("resque:queue:q", 0, -1)
    raws += [b"{" + each.partition(b"{")[2] for each in redis_client.hvals("resque:later:jobs")]
    for raw in raws:
        perform_here(job.definition, "q", raw)
    assert got == [day] * 3
    with pytest.raises(WrongArguments, match="job 1 of the bulk: "):
        client.enqueue_many(job, [(day,), (7,)])


def test_in_the_testing_kit() -> None:
    def mail(value: date, more: Any = None) -> date:
        return value

    job, day = declare(mail), date(2026, 1, 1)
    assert gresque.testing.perform(job, day) == day
    with gresque.testing.fake() as jobs:
        job.enqueue(day, more=1)
        jobs.assert_enqueued(job, day, more=mock.ANY)
        jobs.assert_enqueued(job, mock.ANY, 1)
        jobs.assert_enqueued(job, value="2026-01-01", more=1)
        jobs.assert_not_enqueued(job, date(2026, 1, 2), more=1)
        with pytest.raises(WrongArguments):
            jobs.assert_enqueued(job, 7, more=1)
