"""The client that a program need not make, and clients that threads and forked children share."""

from __future__ import annotations

import copy
import functools
import os
import pickle
import textwrap
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import redis

import gresque
from gresque.client import default
from gresque.errors import (
    EnqueueError,
    GresqueError,
    SettingsError,
)
from gresque.settings import Settings
from tests.support.client_jobs import Hooked, calls, items, noop, resque_keys
from tests.support.programs import PLAIN, stem

Redis = redis.Redis

pytestmark = pytest.mark.usefixtures("own_registry")


# Sharing


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run `work(number)` in threads that start together; their results or errors."""
    start = threading.Barrier(count)
    results: list[Any] = [None] * count

    def run(number: int) -> None:
        start.wait()
        try:
            results[number] = work(number)
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_200_threads_share_a_client(client: gresque.Client, redis_client: Redis) -> None:
    ids = in_threads(200, lambda number: [client.enqueue(noop, number, i) for i in range(5)])
    found = items(redis_client)
    assert sorted(item["id"] for item in found) == sorted(job_id for own in ids for job_id in own)
    for number in range(200):
        assert [item["args"][1] for item in found if item["args"][0] == number] == [*range(5)]


def test_200_threads_share_the_default_client(redis_url: str, redis_client: Redis) -> None:
    gresque.configure(redis_url)
    ids = in_threads(200, lambda number: noop.enqueue(number))
    assert {item["id"] for item in items(redis_client)} == set(ids)


def test_a_client_goes_on_in_a_forked_child(client: gresque.Client, redis_client: Redis) -> None:
    client.enqueue(noop, "parent before")
    pid = os.fork()
    if not pid:
        code = 1
        try:
            for _ in range(50):
                client.enqueue(noop, "child")
            code = 0 if client.size("bench") >= 51 else 2
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    for _ in range(50):
        client.enqueue(noop, "parent")
    _, status = os.waitpid(pid, 0)
    assert status == 0
    names = [item["args"][0] for item in items(redis_client)]
    assert (names.count("child"), names.count("parent")) == (50, 50)


def test_a_closed_client_may_be_used_again(client: gresque.Client) -> None:
    client.close()
    client.enqueue(noop)
    client.close()
    client.close()
    assert client.size("bench") == 1


# The default client


def test_the_default_client_reads_the_environment(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("RESQUE_NAMESPACE", "env")
    job_id = noop.enqueue(1)
    assert resque_keys(redis_client) == {"env:queues", "env:queue:bench"}
    assert gresque.peek("bench")[0]["id"] == job_id
    assert default.default_client() is default.default_client()


def test_configure_goes_over_the_environment(
    redis_url: str, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "unix:///nowhere")
    monkeypatch.setenv("RESQUE_NAMESPACE", "env")
    client = gresque.configure(redis_url)
    assert (client.redis_url, client.namespace) == (redis_url, "env")
    assert gresque.configure(redis_url, "own").namespace == "own"
    gresque.enqueue(noop)
    assert redis_client.exists("own:queue:bench")


def test_the_settings_of_a_worker_hold(
    redis_url: str,
    redis_client: Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("REDIS_URL", "unix:///nowhere")
    gresque.configure("unix:///before", "before")
    default.adopt(Settings.load({"redis_url": redis_url, "namespace": "flag"}, os.environ))
    noop.enqueue(1)
    for given in ({}, {"redis_url": redis_url}, {"namespace": "flag"}):
        gresque.configure(**given, retry_seconds=0.5)
    assert caplog.records == [], "none asks for anything else"
    client = gresque.configure("redis://:secret@other", "other", failure_backend="redis")
    assert (client.redis_url, client.namespace) == (redis_url, "flag")
    noop.enqueue(2)
    assert redis_client.llen("flag:queue:bench") == 2
    (record,) = caplog.records
    assert "another redis_url and namespace than this worker has" in record.getMessage()
    assert f"{__file__}:" in record.getMessage()
    assert "secret" not in record.getMessage()
    default.adopt(Settings.load({"redis_url": "unix:///resolved"}, {}))
    assert default.default_client().redis_url == "unix:///resolved"


def test_the_verbs_of_the_module(redis_url: str, redis_client: Redis) -> None:
    gresque.configure(redis_url)
    assert gresque.enqueue(noop, 1)
    assert gresque.enqueue_to("low", noop, 2)
    assert len(gresque.enqueue_many(noop, [(3,)], queue="low")) == 1
    assert noop.enqueue_to("low", 4)
    assert Hooked.enqueue(5)
    assert Hooked.enqueue_to("low", 6)
    assert gresque.queues() == ["bench", "hooked", "low"]
    assert gresque.size("low") == 4
    assert [item["args"] for item in gresque.peek("low", 1, 2)] == [[3], [4]]
    assert gresque.info()["pending"] == 6
    assert gresque.dequeue(noop, 1) == 1
    assert gresque.remove_queue("low") == 4


def test_configure_inline() -> None:
    gresque.configure("unix:///nowhere", inline=True)
    noop.enqueue(1)
    assert calls == [((1,), {})]


@pytest.mark.parametrize("url", ["localhost", "http://h", "sentinel://h", ""])
def test_configure_refuses_a_bad_url(url: str) -> None:
    for make in (gresque.configure, gresque.Client):
        with pytest.raises(SettingsError, match=r"^redis_url: "):
            make(url)


WRONG_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"redis_url": 5}, "redis_url is a str, and not of type int"),
    ({"redis_url": b"redis://:secret@h"}, "redis_url is a str, and not of type bytes"),
    ({"namespace": ""}, "namespace: the namespace is empty"),
    ({"namespace": "\ud800"}, "is not UTF-8"),
    ({"failure_backend": "nowhere"}, "failure_backend: 'nowhere' is unknown"),
    ({"retry_seconds": True}, "retry_seconds is a number"),
    ({"retry_seconds": -1}, "retry_seconds is a number"),
    ({"retry_seconds": 10**400}, "retry_seconds is a number"),
]


@pytest.mark.parametrize(("given", "message"), WRONG_ARGUMENTS, ids=range(len(WRONG_ARGUMENTS)))
def test_wrong_arguments_of_a_client(given: dict[str, Any], message: str) -> None:
    for make in (gresque.configure, gresque.Client):
        with pytest.raises(SettingsError) as raised:
            make(**given)
        assert message in str(raised.value)
        assert "secret" not in str(raised.value)


def test_a_client_is_copied_without_its_connections(client: gresque.Client) -> None:
    client.enqueue(noop, 1)
    for copied in (pickle.loads(pickle.dumps(client)), copy.deepcopy(client)):
        assert copied.size("bench") == 1
        copied.close()
    configured = pickle.loads(pickle.dumps(client.options(noop, queue="low")))
    configured.enqueue(1)
    assert client.size("low") == 1
    configured._client().close()


def test_a_client_shows_no_password() -> None:
    shown = repr(gresque.Client("redis://joe:secret@host/0", "mine", inline=True))
    assert shown == "Client('redis://joe:***@host/0', 'mine', inline=True)"
    assert repr(noop.options(queue="low")).startswith("<<job Noop> with CallOptions(queue='low'")


@pytest.mark.parametrize("job_id", [None, 5, b"x", ["x"], "\ud800", ""], ids=ascii)
def test_what_is_no_id(client: gresque.Client, job_id: Any) -> None:
    def put_off(job_id: Any) -> None:
        client.reschedule(job_id, in_=5)

    for act in (client.cancel, client.run_now, put_off):
        with pytest.raises(GresqueError, match="is not the id of a job; give one that an enqueue"):
            act(job_id)


@pytest.mark.parametrize("wrong", ["1", None, 1.5, 10**30], ids=repr)
def test_what_is_no_part_of_a_list(client: gresque.Client, wrong: Any) -> None:
    for look in (client.delayed, lambda *page: client.peek("bench", *page)):
        with pytest.raises(GresqueError, match=r"start=.* is no number of jobs"):
            look(wrong)
        with pytest.raises(GresqueError, match=r"count=.* is no number of jobs"):
            look(0, wrong)
    with pytest.raises(GresqueError, match="start=-1 is before the first job"):
        client.delayed(-1)


@pytest.mark.parametrize("queue", ["", 5, "\ud800"], ids=ascii)
def test_options_with_no_queue(queue: Any) -> None:
    for make in (noop.options, Hooked.options, functools.partial(gresque.options, noop)):
        with pytest.raises(EnqueueError, match="is not the name of a queue"):
            make(queue=queue)


def test_a_bad_url_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "localhost:1")
    with pytest.raises(SettingsError, match=r"^REDIS_URL: .* is not a Redis URL"):
        noop.enqueue()


@pytest.mark.parametrize("url", ["redis://localhost:x", "redis://[::1", "redis://localhost:99999"])
def test_a_url_that_cannot_be_read(url: str) -> None:
    with pytest.raises(SettingsError, match="Redis URL"):
        gresque.Client(url).enqueue(noop)


@pytest.mark.parametrize("option", ["ssl_cert_reqs=bogus", "ssl_nonsense=1"])
def test_a_url_with_an_option_that_redis_py_refuses(option: str) -> None:
    client = gresque.Client(f"rediss://user:secret@host?{option}")
    with pytest.raises(SettingsError, match="Redis URL of host:6379: ") as raised:
        client.enqueue_to("q", "Job")
    assert "secret" not in str(raised.value)


# Programs without gevent

WEB = """
    import sys
    import gresque

    gresque.configure(sys.argv[1])
    gresque.enqueue_to("q", "Job", 1)
    gresque.enqueue_many("Job", [(2,), (3,)], queue="q")
    print(gresque.size("q"), gresque.peek("q", 0, 1)[0]["args"])
    print(sorted(name for name in sys.modules if name.split(".")[0] in ("gevent", "greenlet")))
"""


def test_a_program_that_enqueues_loads_no_gevent(redis_url: str) -> None:
    ran = stem(PLAIN).run(textwrap.dedent(WEB), redis_url)
    assert (ran.stdout, ran.stderr) == ("3 [1]\n[]\n", "")
