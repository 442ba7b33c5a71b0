"""Enqueueing with `wait_replicas`: it returns when replicas have the job, or raises."""

from __future__ import annotations

import asyncio
import json
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

import gresque
import gresque.aio
from gresque.connection.replicas import Replicas
from gresque.connection.scripts import script
from gresque.errors import NotEnqueued, PerhapsEnqueued, SettingsError
from tests.support.cli import in_a_process
from tests.support.programs import PATCHED, stem
from tests.support.pushes import QUEUE, acl, enqueue, ids
from tests.support.replicated import Replicated

UNCONFIRMED = r"^perhaps enqueued: .* replicas of Redis at .* did not confirm: {} did; look into "


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    with closing(Replicated(tmp_path_factory.mktemp("replicated"))) as kept:
        yield kept


@pytest.fixture
def pair(kept: Replicated) -> Iterator[Replicated]:
    kept.empty()
    yield kept
    kept.replica.resume()
    acl(kept.primary, "+@all")


@gresque.job(queue="q", name="wait_replicas.plain")
def plain(number: int) -> None: ...


@gresque.job(queue="q", name="wait_replicas.unique", unique="queued")
def unique(number: int) -> None: ...


@gresque.job(queue="q", name="wait_replicas.tracked", result_ttl_seconds=60)
def tracked(number: int) -> None: ...


KINDS: dict[str, tuple[str, Callable[[gresque.Client, int], Any]]] = {
    "plain": ("enqueue", lambda client, n: client.enqueue(plain, n)),
    "bulk": ("enqueue", lambda client, n: client.enqueue_many(plain, [(n,)] * 3)),
    "tracked": ("enqueue", lambda client, n: client.enqueue(tracked, n)),
    "delayed": ("schedule", lambda client, n: client.enqueue_in(60, plain, n)),
    "unique": ("enqueue_unique", lambda client, n: client.enqueue(unique, n)),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def arrived(pair: Replicated) -> int:
    redis = pair.redis
    return sum(
        item.count(b',"args":[1]')
        for item in (*redis.lrange(QUEUE, 0, -1), *redis.hvals("resque:later:jobs"))
    )


@each_kind
def test_what_was_done_before_is_not_confirmed_by_that(pair: Replicated, kind: str) -> None:
    """The first reply is lost. Sent again over a new connection, whose only write is that of the
    number, it has to be confirmed all the same."""
    name, push = KINDS[kind]
    with closing(gresque.Client(pair.url, retry_seconds=0.5, wait_replicas=1)) as client:
        push(client, 0)
        pair.replica.stop()
        cut = pair.proxy.cut(script(name).sha, "reply", 0)
        started = time.monotonic()
        with pytest.raises(PerhapsEnqueued, match=UNCONFIRMED.format("0 of 1")):
            push(client, 1)
        assert cut.done.wait(20)
        assert 0.5 <= time.monotonic() - started < 20
        assert arrived(pair) == (3 if kind == "bulk" else 1)


@each_kind
def test_a_replica_that_goes_on_confirms_it(pair: Replicated, kind: str) -> None:
    name, push = KINDS[kind]
    with closing(gresque.Client(pair.url, retry_seconds=30, wait_replicas=1)) as client:
        push(client, 0)
        pair.replica.stop()
        cut = pair.proxy.cut(script(name).sha, "reply", 0)
        timer = threading.Timer(0.5, pair.replica.resume)
        timer.start()
        started = time.monotonic()
        push(client, 1)
        assert cut.done.wait(20)
        timer.join()
        assert time.monotonic() - started > 0.3
        assert arrived(pair) == (3 if kind == "bulk" else 1)


def test_a_push_waits_once_for_as_long_as_it_may(pair: Replicated) -> None:
    with closing(gresque.Client(pair.url, retry_seconds=0.6, wait_replicas=2)) as client:
        started = time.monotonic()
        with pytest.raises(PerhapsEnqueued, match=UNCONFIRMED.format("1 of 2")):
            enqueue(client)
        assert 0.6 <= time.monotonic() - started < 20
        assert pair.redis.info("commandstats")["cmdstat_wait"]["calls"] < 10
        assert pair.redis.llen(QUEUE) == 1


def test_without_time_to_try_again_replicas_get_some_all_the_same(pair: Replicated) -> None:
    with closing(gresque.Client(pair.url, retry_seconds=0, wait_replicas=1)) as client:
        assert [enqueue(client) for _ in range(20)] == ids(pair.redis)
        pair.replica.stop()
        with pytest.raises(PerhapsEnqueued, match=UNCONFIRMED.format("0 of 1")):
            enqueue(client)


@pytest.mark.parametrize(
    ("reply_seconds", "left", "milliseconds"),
    [
        (5.0, 2.0, 2000),
        (5.0, 30.0, 4000),  # the answer has to come before the reply counts as lost
        (0.5, 30.0, 400),
        (5.0, 0.0, 100),  # never 0, which blocks for ever
        (0.0005, -1.0, 1),
        (None, 3.0, 2400),
    ],
)
def test_how_long_replicas_have(
    reply_seconds: float | None, left: float, milliseconds: int
) -> None:
    connection: Any = SimpleNamespace(reply_seconds=reply_seconds)
    command = Replicas("redis://localhost", 2).wait(connection, left)
    assert command.split(b"\r\n")[2:-1:2] == [b"WAIT", b"2", b"%d" % milliseconds]


def test_the_connection_stays_in_step_where_the_script_is_not_known(pair: Replicated) -> None:
    with closing(gresque.Client(pair.url, wait_replicas=1)) as client:
        returned = []
        for _ in range(3):
            returned += [enqueue(client), enqueue(client)]
            pair.redis.script_flush()
        assert ids(pair.redis) == returned
        assert pair.redis.info("stats")["total_connections_received"] <= 3


def test_a_push_and_its_wait_are_one_packet(pair: Replicated) -> None:
    pair.proxy.watch = b"WAIT\r\n$1\r\n1\r\n"
    with closing(gresque.Client(pair.url, wait_replicas=1)) as client:
        enqueue(client)
        cut = pair.proxy.cut(b"WAIT\r\n$1\r\n1\r\n", "request", 50)
        enqueue(client)
        assert cut.done.wait(20)
        assert pair.proxy.request_bytes > 300  # the script and its arguments came with it
    assert pair.redis.llen(QUEUE) == 2


def test_without_the_setting_there_is_no_wait(pair: Replicated) -> None:
    with closing(gresque.Client(pair.url)) as client:
        pair.replica.stop()
        enqueue(client)
    assert "cmdstat_wait" not in pair.redis.info("commandstats")


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_cut_anywhere_neither_loses_nor_doubles(pair: Replicated, direction: str) -> None:
    with closing(gresque.Client(pair.url, wait_replicas=1)) as client:
        returned = [enqueue(client), enqueue(client)]
        for after in range(9) if direction == "reply" else range(0, 420, 21):
            pair.proxy.cut(script("enqueue").sha, direction, after)
            returned.append(enqueue(client))
        assert ids(pair.redis) == returned
        assert ids(pair.replica.redis) == returned


# Servers that refuse WAIT


def test_a_server_that_refuses_wait_is_sent_nothing(pair: Replicated) -> None:
    acl(pair.primary, "-wait")
    with closing(gresque.Client(pair.url, wait_replicas=1, retry_seconds=60)) as client:
        with pytest.raises(NotEnqueued) as raised:
            enqueue(client)
        assert str(raised.value).startswith("not enqueued: Redis at ")
        assert "ENQUEUE_WAIT_REPLICAS needs WAIT: allow it, or set that to 0" in str(raised.value)
        assert "\n" not in str(raised.value)
        assert pair.redis.llen(QUEUE) == 0


def test_a_server_that_begins_to_refuse_wait(pair: Replicated) -> None:
    with closing(gresque.Client(pair.url, wait_replicas=1, retry_seconds=60)) as client:
        enqueue(client)
        acl(pair.primary, "-wait")
        with pytest.raises(PerhapsEnqueued, match="needs WAIT"):
            enqueue(client)
        assert pair.redis.llen(QUEUE) == 2


def test_a_push_without_scripts_is_confirmed_too(pair: Replicated) -> None:
    acl(pair.primary, "-evalsha")
    with closing(gresque.Client(pair.url, wait_replicas=1, retry_seconds=0.3)) as client:
        assert [enqueue(client), enqueue(client)] == ids(pair.replica.redis)
        pair.replica.stop()
        with pytest.raises(PerhapsEnqueued, match="did not confirm"):
            enqueue(client)
        assert pair.redis.llen(QUEUE) == 3


# Several at a time


def outcomes_of_threads(pair: Replicated, retry_seconds: float) -> list[str]:
    client = gresque.Client(pair.url, retry_seconds=retry_seconds, wait_replicas=1)
    found: list[str] = []

    def push() -> None:
        try:
            found.append(str(enqueue(client)))
        except (PerhapsEnqueued, NotEnqueued) as error:
            found.append(type(error).__name__)

    threads = [threading.Thread(target=push) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    client.close()
    return found


GREENLETS = """
    import sys
    import gevent
    import gresque

    client = gresque.Client(sys.argv[1], retry_seconds=float(sys.argv[2]), wait_replicas=1)
    def push():
        try:
            return client.enqueue_to("q", "Job", 1)
        except (gresque.PerhapsEnqueued, gresque.NotEnqueued) as error:
            return type(error).__name__
    print(*(each.get() for each in [gevent.spawn(push) for _ in range(40)]))
    client.close()
"""


def outcomes_of_greenlets(pair: Replicated, retry_seconds: float) -> list[str]:
    ran = stem(PATCHED).run(textwrap.dedent(GREENLETS), pair.url, str(retry_seconds))
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.split()


def outcomes_of_tasks(pair: Replicated, retry_seconds: float) -> list[str]:
    async def push(client: gresque.aio.Client) -> str:
        try:
            return str(await client.aenqueue_to("q", "Job", 1))
        except (PerhapsEnqueued, NotEnqueued) as error:
            return type(error).__name__

    async def main() -> list[str]:
        options = {"retry_seconds": retry_seconds, "wait_replicas": 1}
        async with gresque.aio.Client(pair.url, **options) as client:
            return await asyncio.gather(*(push(client) for _ in range(40)))

    return asyncio.run(main())


@pytest.mark.parametrize(
    "outcomes", [outcomes_of_threads, outcomes_of_greenlets, outcomes_of_tasks]
)
def test_many_at_a_time(
    pair: Replicated, outcomes: Callable[[Replicated, float], list[str]]
) -> None:
    pair.replica.stop()
    ended = outcomes(pair, 0.5)
    assert len(ended) == 40 and set(ended) <= {"PerhapsEnqueued", "NotEnqueued"}
    assert ended.count("PerhapsEnqueued") == pair.redis.llen(QUEUE) > 0
    timer = threading.Timer(0.5, pair.replica.resume)
    timer.start()
    before = pair.redis.llen(QUEUE)
    ended = outcomes(pair, 30)
    timer.join()
    assert sorted(ended) == sorted(ids(pair.redis)[before:])
    assert ids(pair.replica.redis) == ids(pair.redis)


# Where it is set


@pytest.mark.parametrize("number", [-1, True, 1.0, "1", 101, None])
def test_the_number_is_checked(number: Any) -> None:
    for client in (gresque.Client, gresque.aio.Client):
        with pytest.raises(SettingsError, match="wait_replicas is a whole number from 0 to 100"):
            client(wait_replicas=number)


def test_the_default_client_has_it_from_its_environment(
    pair: Replicated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENQUEUE_WAIT_REPLICAS", "1")
    assert gresque.configure(pair.url).wait_replicas == 1
    enqueue(gresque.configure(pair.url))
    assert pair.redis.info("commandstats")["cmdstat_wait"]["calls"] >= 2
    assert gresque.configure(pair.url, wait_replicas=0).wait_replicas == 0


def test_the_command_line_has_it(pair: Replicated) -> None:
    pair.replica.stop()
    flags = ("--enqueue-wait-replicas", "1")
    code, out, err = in_a_process(pair.url, "enqueue", *flags, "q", "Job", "1")
    assert (code, out) == (1, "")
    assert "did not confirm: 0 of 1 did" in err
    pair.replica.resume()
    code, out, err = in_a_process(pair.url, "enqueue", *flags, "q", "Job", "1", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["id"] == ids(pair.replica.redis)[-1]


@pytest.mark.parametrize("number", [1, 2])
def test_check_compares_it_with_the_server(pair: Replicated, number: int) -> None:
    answer = in_a_process(pair.url, "check", "--enqueue-wait-replicas", str(number))
    says = "ENQUEUE_WAIT_REPLICAS is 2, and the server has 1 replica: no enqueue is confirmed"
    assert (says in answer.out + answer.err) is (number == 2)


def test_replicas_of_shards_have_as_much_time(pair: Replicated) -> None:
    """Another shard is tried only when it is certain that the first one has no job."""
    urls = [f"a={pair.url}", f"b={pair.url}?db=1"]
    with closing(gresque.Client(urls=urls, retry_seconds=30, wait_replicas=1)) as client:
        enqueue(client)
        pair.replica.stop()
        timer = threading.Timer(0.5, pair.replica.resume)
        timer.start()
        assert enqueue(client) is not None
        timer.join()
