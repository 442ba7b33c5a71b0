"""The filter language, and which running and failed jobs a filter means."""

from __future__ import annotations

import pytest
import redis

from gresque.errors import FilterError
from gresque.failure.search import glance
from gresque.inspector.filters import (
    ANY,
    CLASS,
    HOST,
    LONGER,
    OF_FAILED,
    OF_RUNNING,
    QUEUE,
    TEXT,
    Filter,
    WantedFailed,
    age_text,
    of_terms,
    parse,
)
from gresque.inspector.running import RunningJob
from gresque.inspector.running_groups import RunningGroup
from gresque.store.store import Store
from tests.support.views import OTHER, PROCESS, item, process


@pytest.fixture(autouse=True)
def _running(redis_client: redis.Redis) -> None:
    process(
        redis_client, PROCESS, item("A", 0), item("B", 1), item("A", 2),
        runs={"0": 3600, "1": 7200}, blocks=("1", 9),
    )  # fmt: skip
    process(redis_client, OTHER, item("A", 3), runs={"0": 10_800})
    bulk = b"%d:resque:queue:bulk%b" % (len("resque:queue:bulk"), item("A", 4))
    redis_client.hset(f"resque:ledger:{OTHER}", "1", bulk)


def numbers(store: Store, wanted: Filter) -> list[int]:
    return [job.item["args"][0] for job in RunningJob.all(store, wanted)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [1, 3, 0, 2, 4]),
        ("class:A", [3, 0, 2, 4]),
        ("class:A class:B", [1, 3, 0, 2, 4]),
        ("class:*", [1, 3, 0, 2, 4]),
        ("class:a", []),
        ("queue:bulk", [4]),
        ("queue:b*", [4]),
        ("host:vm:11", [1, 0, 2]),
        ("process:nowhere", []),
        (">90m", [1, 3]),
        (">0", [1, 3, 0]),  # of the others it is not known
        ("<90m", [0, 2, 4]),
        ("class:A >90m host:vm", [3]),
        ("class:C", []),
        ("a( host:vm", [3, 0, 2, 4]),
        ('"A(3)"', [3]),
        ("class:A A(3 A(4", []),
    ],
    ids=str,
)
def test_wanted(store: Store, text: str, found: list[int]) -> None:
    assert numbers(store, parse(text, OF_RUNNING)) == found
    groups = RunningGroup.all(store, parse(text, OF_RUNNING))
    assert sum(group.count for group in groups) == len(found)


def test_only_old_enough_payloads_are_read(store: Store, redis_client: redis.Redis) -> None:
    redis_client.config_resetstat()
    numbers(store, parse(">90m"))
    assert "cmdstat_hgetall" not in redis_client.info("commandstats")


def test_what_stands_in_the_slot_comes_along(store: Store) -> None:
    (job,) = RunningJob.all(store, of_terms({QUEUE: "bulk"}))
    assert store.processes.holds([job.held]) == [True]


def test_groups(store: Store) -> None:
    first, second, third = RunningGroup.all(store)
    assert (first.job_class, first.queue, first.count, first.blocking) == ("A", "mail", 3, 0)
    assert first.oldest_seconds == pytest.approx(10_800, abs=60)
    assert first.median_seconds == pytest.approx(3600, abs=60)
    assert (second.job_class, second.queue, second.oldest_seconds) == ("A", "bulk", None)
    assert (third.job_class, third.blocking) == ("B", 1)
    (group,) = RunningGroup.all(store, parse("class:A >90m"))
    assert group.count == 1
    (group,) = RunningGroup.all(store, parse('"B("'))
    assert (group.job_class, group.blocking) == ("B", 1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("  >5s   class:Sync queue:mail  host:web-07:12 waits:api.x  text ", None),
        ("> 5s", None),
        (">300", ">5m"),
        (">90 <1.5h", ">90s <90m"),
        (">86400s", ">1d"),
        ('"two words"', None),
        ('text:"a colon"', None),
        ('"http:x"', None),
        ("http://x/y", None),
        ("10.0.0.7:80", None),
        ('queue:"a b\\"c"', None),
        ('queue:"plain"', "queue:plain"),
        ("class:A class:A", "class:A"),
        ("worker:vm:1", "host:vm:1"),
        ('">5"', None),
        ('"a\\\\b\\"c"', None),
        ("a\\b", None),
        ("ünï ", "ünï"),
    ],
)
def test_a_filter_as_text(text: str, shown: str | None) -> None:
    try:
        found = parse(text)
    except FilterError:
        assert text in ("> 5s", 'text:"a colon"')
        return
    assert str(found) == (" ".join(text.split()) if shown is None else shown)
    assert parse(str(found)) == found
    assert bool(found) == bool(text.strip())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (">5x", ">5x is not an age; write one such as >5s, >10m or >2h"),
        ("<", "< is not an age; write one such as <5s, <10m or <2h"),
        ("class:", "class: has no value; write it behind the colon, without a space"),
        ('queue:""', "queue: has no value"),
        ('""', '"" is empty; write the text to look for'),
        ('class:"a', "has a quotation mark without its pair"),
        ('a"b', "has a quotation mark without its pair"),
        ("colour:red", "there is no colour: to filter by here; there are class:, queue:, host:"),
        ("exception:E", 'and for a text with a colon "exception:…"'),
        ("x" * 3000, "the filter has 3,000 characters; 2,000 are allowed"),
        ('"\x1b\n', "\\x1b\\n"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, said: str) -> None:
    with pytest.raises(FilterError) as error:
        parse(text, OF_RUNNING)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_terms_are_added_and_taken_away() -> None:
    found = ANY.plus(CLASS, "A").plus(QUEUE, "b c").plus(CLASS, "A")
    assert str(found) == 'class:A queue:"b c"'
    assert (CLASS, "A") in found
    assert found.minus(CLASS, "B") == found
    assert str(found.minus(CLASS, "A")) == 'queue:"b c"'
    assert found.minus(QUEUE).minus(CLASS) == ANY
    assert str(found & parse(">5 class:A x")) == 'class:A queue:"b c" >5s x'
    assert of_terms({LONGER: 90.0, HOST: None, TEXT: "t"}).terms == parse(">90 t").terms


@pytest.mark.parametrize("seconds", [0, 0.5, 59, 60, 90, 3600, 5400, 86_400, 1e7])
def test_ages_are_read_as_they_are_written(seconds: float) -> None:
    assert parse(f">{age_text(seconds)}").longer_than == seconds


def test_what_jobs_wait_on_and_ids() -> None:
    assert parse("waits:API.x").matches(waits_on="recv api.x:443")
    assert not parse("waits:api.y").matches(waits_on="recv api.x:443")
    assert not parse("waits:api.y").matches(waits_on=None)
    job_id = "0123456789abcdef0123456789abcdef"
    assert parse("id:89abcdef").matches(job_id=job_id)
    assert not parse("id:89abcdee").matches(job_id=job_id)


def test_characters_of_patterns_stand_for_themselves() -> None:
    assert parse("class:a[1]?*").matches(job_class="a[1]?x")
    assert not parse("class:a[1]?*").matches(job_class="a1bx")


def test_failed_jobs_that_are_meant() -> None:
    raw = (
        b'{"payload":{"class":"jobs.Sync","args":["a/b"],"id":"019ab0d2c4f17c3e8a1b5d7e9f2c4a60"},"queue":"mail",'
        b'"exception":"TimeoutError","error":"no \\"answer\\" in 5 s"}'
    )
    for text, found in (
        ("class:jobs.* exception:TimeoutError queue:mail NO", True),
        ("timeouterror sync", True),
        ("exception:Timeout", False),
        ("class:jobs.*  other", False),
        ('a/b "no \\"answer\\""', True),
        ("id:9f2c4a60", True),
        ("id:9f2c4a61", False),
    ):
        wanted = WantedFailed(filter=parse(text, OF_FAILED))
        assert (bool(wanted), wanted.matches(glance(raw), raw)) == (True, found)
    assert not WantedFailed()
