"""`gresque check`, as a user calls it."""

from __future__ import annotations

import json
import re
import socket
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from gresque.processes import title
from gresque.schedule.entry import Entry
from gresque.store.cron_snapshot import Change
from gresque.store.store import Store
from tests.support.cli import (
    Answer,
    Call,
    in_a_process,
)
from tests.support.programs import PATCHED


class TestCheck:
    def test_settings_and_sources(
        self, call: Call, redis_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("THREAD_COUNT", "7")
        found = json.loads(call("check", "-q", "high,low", "--json").out)
        settings = {row["name"]: (row["value"], row["source"]) for row in found["settings"]}
        assert settings["queues"] == ("high,low", "--queues")
        assert settings["thread_count"] == (7, "THREAD_COUNT")
        assert settings["jobs_per_fork"] == (1, "default")
        assert settings["redis_url"] == (redis_url, "REDIS_URL")
        assert found["ok"] is True
        assert found["redis"]["client_tracking"] is True
        assert found["redis"]["version"].startswith("valkey ")
        assert found["redis"]["maxmemory_policy"] == "noeviction"

    def test_a_replica_is_no_place_for_jobs(self, call: Call, redis_client: redis.Redis) -> None:
        redis_client.replicaof("127.0.0.1", "1")
        try:
            answer = call("check")
        finally:
            redis_client.replicaof("NO", "ONE")
        assert answer.code == 1
        assert "is a replica: give the URL of the primary" in answer.err

    def test_text(self, call: Call) -> None:
        code, out, err = call("check")
        assert (code, err) == (0, "")
        assert "  thread_count" in out
        assert "warning: no queues are named" in out
        assert "warning: no module is required" in out

    def test_policies(self, call: Call, store: Store, redis_client: redis.Redis) -> None:
        for name in ("mail", "other"):
            store.policies.pause(name)
        redis_client.hset("resque:policies", "low", "c5 zz")
        found = json.loads(call("check", "-q", "mail", "--json").out)["warnings"]
        # The jobs of other tests go to queues, too.
        assert [each for each in found if each.startswith(("the policy", "queue"))] == [
            "the policy of queue low has 'zz', which this version cannot read and ignores; "
            "gresque limit replaces a cap or a rate",
            "queue mail is paused: none of its jobs starts until gresque unpause mail",
        ]
        store.policies.pause_all()
        assert "warning: all queues are paused, by the key pause-all-workers" in call("check").out

    def test_ruby_workers_of_this_host_want_titles(
        self, call: Call, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ruby, node, far = f"{socket.gethostname()}:7:q", f"{socket.gethostname()}:8:q", "far:7:q"
        redis_client.sadd("resque:workers", ruby, node, far)
        for worker in (ruby, far):
            redis_client.hset("resque:workers:heartbeat", worker, "2026-11-26T07:55:36-05:00")
        assert "Ruby" not in call("check").out
        monkeypatch.setattr(title, "setproctitle", None)
        warning = f"warning: 1 Ruby worker on this host: {ruby}. One that boots does not find"
        assert warning in call("check").out
        redis_client.srem("resque:workers", ruby)
        assert "Ruby" not in call("check").out

    def test_weights(self, call: Call) -> None:
        out = call("check", "-q", "a:5,b", "--weights", "a=5").out
        assert "a:5,b" in out and re.search(r"weights +a=5 +--weights\n", out)

    def test_each_shard(
        self, call: Call, redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("REDIS_URL")
        monkeypatch.setenv("REDIS_URLS", f"a={redis_url}?db=1 b={redis_url}?db=2")
        Store(f"{redis_url}?db=2", "resque").policies.pause("mail")
        answer = call("check", "-q", "mail", "--json")
        found = json.loads(answer.out)
        assert answer.code == 0 and "redis" not in found
        assert [(each["name"], each["answers"]) for each in found["shards"]] == [
            ("a", True), ("b", True),
        ]  # fmt: skip
        assert [each for each in found["warnings"] if "paused" in each] == [
            "shard b: queue mail is paused: none of its jobs starts until gresque unpause mail"
        ]
        assert "redis of shard b\n" in call("check").out
        monkeypatch.setenv("REDIS_URLS", f"a={redis_url}?db=1 b=redis://localhost:1")
        code, _, err = call("check")
        assert (code, err.count("\n")) == (1, 1)
        assert err.startswith("error: shard b: no answer from Redis at localhost:1")

    def test_two_shards_that_are_one_place(
        self, call: Call, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        link = tmp_path / "another.sock"
        link.symlink_to(redis_url.removeprefix("unix://"))
        monkeypatch.delenv("REDIS_URL")
        monkeypatch.setenv("REDIS_URLS", f"a={redis_url} b=unix://{link}")
        code, _, err = call("check")
        assert code == 1
        assert "shards a and b are the same server, database and namespace" in err

    def test_an_evicting_redis(self, call: Call, redis_client: redis.Redis) -> None:
        redis_client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert "warning: maxmemory-policy is allkeys-lru" in call("check").out
        finally:
            redis_client.config_set("maxmemory-policy", "noeviction")

    def test_config_get_may_be_refused(
        self, call: Call, redis_client: redis.Redis, redis_url: str
    ) -> None:
        redis_client.execute_command(
            "ACL", "SETUSER", "small", "on", ">secret", "~*", "+@all", "-config", "-info"
        )
        try:
            path = redis_url.removeprefix("unix://")
            code, out, err = call("check", "--redis", f"unix://small:secret@{path}")
        finally:
            redis_client.execute_command("ACL", "DELUSER", "small")
        assert (code, err) == (0, "")
        assert "unknown: CONFIG GET is refused" in out
        assert "secret" not in out

    def test_redis_out_of_reach(self, call: Call) -> None:
        code, out, err = call("check", "--redis", "redis://joe:secret@localhost:1")
        assert code == 1
        assert "redis://joe:***@localhost:1" in out
        assert "secret" not in out + err
        assert err.startswith("error: no answer from Redis at localhost:1")
        assert err.count("\n") == 1

    def test_a_wrong_setting(self, call: Call) -> None:
        code, out, err = call("check", "-t", "0")
        assert (code, out) == (2, "")
        assert err == "gresque: --threads: 0 is too small; give 1 or more\n"

    def test_too_few_open_files(self, call: Call) -> None:
        assert "1,000,000 threads with a socket each" in call("check", "-t", "1000000").out


JOBS = """
    import sys, types
    import gresque
    print("on stdout")
    sys.modules["MySQLdb"] = types.ModuleType("MySQLdb")

    @gresque.job(queue="mail", name="Greet")
    def greet():
        import fakedb.grpc
        import pycurl
"""


class TestCheckOfModules:
    """In processes of their own: it patches the standard library."""

    @pytest.fixture
    def check(self, redis_url: str, tmp_path: Path) -> Callable[..., Answer]:
        def check(source: str, *arguments: str) -> Answer:
            (tmp_path / "the_jobs.py").write_text(textwrap.dedent(source))
            (tmp_path / "pycurl.py").touch()
            arguments = ("check", "-r", "the_jobs", *arguments)
            return in_a_process(redis_url, *arguments, setup=PATCHED, cwd=tmp_path)

        return check

    def test_jobs_and_blocking_libraries(self, check: Callable[..., Answer]) -> None:
        code, out, err = check(JOBS, "-q", "other", "--json")
        found = json.loads(out)
        assert (code, err) == (0, "on stdout\n")
        assert found["jobs"] == [{"name": "Greet", "queue": "mail"}]
        unserved, *blocking = found["warnings"]
        assert unserved == "job Greet goes to queue 'mail', which other does not serve"
        assert [warning.split()[0] for warning in blocking] == ["MySQLdb", "pycurl", "appendonly"]

    def test_schedule_entries(
        self, check: Callable[..., Answer], store: Store, tmp_path: Path
    ) -> None:
        """Those of the file, and those in Redis, where their queue is served here."""
        (tmp_path / "cron.yml").write_text(
            "night:\n  cron: '30 2 * * * Europe/Berlin'\n  class: Greet\n"
            "gone:\n  every: 1h\n  class: Gone\n  queue: mail\n"
        )
        theirs = Entry(name="theirs", every=60.0, job="Gone", queue="theirs")
        ours = Entry(name="ours", every=60.0, job="Gone", queue="mail")
        store.cron.put(
            [
                Change("theirs", b"", theirs.to_json(), 5),
                Change("ours", b"", ours.to_json(), 5),
                Change("wrong", b"", b"{}", 5),
            ]
        )
        code, out, _ = check(JOBS, "-q", "mail", "--schedule", "cron.yml", "--json")
        found = [each for each in json.loads(out)["warnings"] if each.startswith("schedule")]
        assert code == 0
        assert [each.split(":")[0].split(" (")[0] for each in found] == [
            "schedule entry night", "schedule entry gone", "schedule entry ours",
            "schedule entry wrong cannot run",
        ]  # fmt: skip
        assert "the clocks pass over 02:30, and it runs at 03:00" in found[0]
        (tmp_path / "cron.yml").write_text("night:\n  cron: '30 25 * * *'\n  class: Greet\n")
        code, out, err = check(JOBS, "-q", "mail", "--schedule", "cron.yml")
        assert code == 1
        assert "error: cron.yml, line 1: entry 'night': the cron line" in err

    def test_hints_at_what_works_otherwise(self, check: Callable[..., Answer]) -> None:
        source = JOBS + "        import asyncio, os as o, sqlite3, requests\n        o.fork()\n"
        (fork, loop, sqlite, names) = json.loads(check(source, "-t", "20", "--json").out)["hints"]
        assert fork.startswith("the_jobs uses os.fork: a process that a job forks runs the job's ")
        assert "the_jobs uses asyncio: asyncio.run() works in one job" in loop
        assert "connect with timeout=0" in sqlite
        assert "GEVENT_RESOLVER=ares" in names
        text = check(source, "-t", "10").out
        assert f"\nhint: {sqlite}\n" in text
        assert "GEVENT_RESOLVER" not in text
        assert "hint:" not in check(JOBS).out

    def test_threads(self, check: Callable[..., Answer]) -> None:
        source = JOBS + "    import threading, time\n    from gevent.monkey import get_original\n"
        source += "    get_original('_thread', 'start_new_thread')(lambda: "
        source += "get_original('time', 'sleep')(60), ())\n"
        assert "starts native threads" in check(source, "-q", "mail").out
        assert "starts native threads" not in check(source, "--no-preload").out

    @pytest.mark.parametrize(
        ("source", "told"),
        [
            ("import nowhere", "cannot import the_jobs (-r): ModuleNotFoundError"),
            ("1 +", "cannot import the_jobs (-r): SyntaxError"),
            ("", "no jobs are declared"),
            ("raise SystemExit(3)", "cannot import the_jobs (-r): SystemExit: 3"),
        ],
    )
    def test_a_module_that_does_not_import(
        self, check: Callable[..., Answer], source: str, told: str
    ) -> None:
        code, out, err = check(source)
        assert code == 1
        assert "settings" in out
        assert told in err
        assert "Traceback" not in err
