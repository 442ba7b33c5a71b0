"""`gresque enqueue`, as a user calls it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
import redis

import gresque
from gresque.jobs.registry import registry
from tests.support.cli import (
    ESCAPE,
    Answer,
    Call,
    in_a_process,
    items,
)


class TestEnqueue:
    def test_a_job(self, call: Call, redis_client: redis.Redis) -> None:
        given = ["42", '"text"', '{"a":1}', "null", "-1", "[1.5]"]
        code, out, err = call("enqueue", "mail", "Greet", *given, "--kwargs", '{"b": true}')
        (item,) = items(redis_client)
        assert (code, out, err) == (0, f"{item['id']}\n", "")
        assert len(item["id"]) == 32
        assert item == {
            "class": "Greet",
            "args": [42, "text", {"a": 1}, None, -1, [1.5], {"b": True, "_kwargs": True}],
            "id": item["id"], "generation": 1,
        }  # fmt: skip
        assert redis_client.smembers("resque:queues") == {b"mail"}

    def test_namespace_and_redis_are_flags(
        self, call: Call, redis_client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REDIS_URL", "redis://localhost:1")
        assert call("enqueue", "q", "A", "--redis", redis_url, "--namespace", "mine").code == 0
        assert redis_client.llen("mine:queue:q") == 1

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["q", "A", "text"], """argument text is not JSON; for a text write '"text"'"""),
            (["q", "A", "two words"], """for a text write '"two words"'"""),
            (["q", "A", 'say "x"'], r"""for a text write '"say \"x\""'"""),
            (["q", "A", ""], """argument '' is not JSON; for a text write '""'"""),
            (["q", "A", "NaN"], "argument NaN is not JSON"),
            (
                ["q", "A", ESCAPE],
                r"""argument '\x1b[2J' is not JSON; for a text write '"\u001b[2J"'""",
            ),
            (["q", "A", "\udcff"], r"argument \xff is not UTF-8"),
            (["q", "A", "1", "--kwarg", "2"], "no such option: --kwarg"),
            (["q", "A", "-", "1"], "- reads the jobs from stdin and must be the only argument"),
            (["q", "A", "--kwargs", "[1]"], "--kwargs [1] is not a JSON object"),
            (["q", "A", "--kwargs", "x"], "--kwargs x is not a JSON object"),
            (["", "A"], "QUEUE is empty"),
            (["q", ""], "CLASS is empty"),
            (["\udcff", "A"], r"QUEUE \xff is not UTF-8"),
            (["q"], "Missing argument 'CLASS'"),
            (["q", "A", "x" * 5_000], """xxx… is not JSON; a text is written '"text"'"""),
            (["q", "A", f'"{"x" * 9_000_000}"'], "the limit is 8,388,608"),
        ],
    )
    def test_wrong_input_is_one_line(
        self, call: Call, redis_client: redis.Redis, arguments: list[str], told: str
    ) -> None:
        code, out, err = call("enqueue", *arguments)
        assert (code, out) == (2, "")
        assert told in err
        assert err.startswith("gresque: ")
        assert err.count("\n") == 1
        assert redis_client.keys("*") == []

    def test_as_json(self, call: Call, redis_client: redis.Redis) -> None:
        code, out, err = call("enqueue", "mail", "Greet", "1", "--json")
        (item,) = items(redis_client)
        assert (code, err) == (0, "")
        assert json.loads(out) == {"id": item["id"], "queue": "mail", "class": "Greet"}
        code, out, _ = call("enqueue", "mail", "Greet", "-", "--json", stdin=b"[1]\n[2]\n")
        assert (code, json.loads(out)) == (
            0, {"enqueued": 2, "rejected": 0, "queue": "mail", "class": "Greet"}
        )  # fmt: skip


class TestEnqueueStream:
    def test_lines(self, call: Call, redis_client: redis.Redis) -> None:
        stdin = b'[1, "x"]\n\n{"user_id": 2}\r\n  \n[]'
        assert call("enqueue", "mail", "Greet", "-", stdin=stdin) == (0, "3 jobs enqueued\n", "")
        found = items(redis_client)
        assert [item["args"] for item in found] == [
            [1, "x"],
            [{"user_id": 2, "_kwargs": True}],
            [],
        ]
        assert len({item["id"] for item in found}) == 3

    def test_kwargs_go_with_every_line(self, call: Call, redis_client: redis.Redis) -> None:
        stdin = b'[1]\n{"b": 3}\n'
        call("enqueue", "mail", "Greet", "-", "--kwargs", '{"a": 1, "b": 2}', stdin=stdin)
        assert [item["args"] for item in items(redis_client)] == [
            [1, {"a": 1, "b": 2, "_kwargs": True}],
            [{"a": 1, "b": 3, "_kwargs": True}],
        ]

    def test_many(self, call: Call, redis_client: redis.Redis) -> None:
        lines = b"".join(b"[%d]\n" % n for n in range(2_500))
        assert call("enqueue", "mail", "Greet", "-", stdin=lines).out == "2,500 jobs enqueued\n"
        assert [item["args"][0] for item in items(redis_client)] == list(range(2_500))

    def test_nothing(self, call: Call, redis_client: redis.Redis) -> None:
        assert call("enqueue", "mail", "Greet", "-").out == "0 jobs enqueued\n"
        assert redis_client.keys("*") == []

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            (b"7", "not a JSON array of arguments or object of keyword arguments: 7"),
            (b"[1", "keyword arguments: [1"),
            (b'["\xff"]', r'keyword arguments: ["\xff"]'),
            (b'["\x1b[2J', r"\x1b[2J"),
            (b'["' + b"x" * 9_000_000 + b'"]', "it is longer than the 8,388,608 bytes"),
            (b'["' + b"x" * 8_388_600 + b'"]\n', "the limit is 8,388,608"),
        ],
    )
    def test_a_wrong_line_ends_it(
        self, call: Call, redis_client: redis.Redis, line: bytes, told: str
    ) -> None:
        before = b"".join(b"[%d]\n\n" % n for n in range(1_200))
        code, out, err = call("enqueue", "mail", "Greet", "-", stdin=before + line + b"\n[9]\n")
        assert (code, out) == (2, "")
        assert err.startswith("gresque: line 2,401: ")
        assert err.endswith("; 1,200 jobs before it enqueued, to stay\n")
        assert told in err
        assert redis_client.llen("resque:queue:mail") == 1_200


HOOKED = """
    import gresque

    class Greet(gresque.Job):
        queue = "mail"
        name = "Greet"
        expires_seconds = 60

        def perform(who, template="welcome"): ...

        def before_enqueue_check(who, template="welcome"):
            if who == "broken":
                raise ValueError("a hook's own")
            if who == "refused":
                gresque.enqueue_to("log", "Log", object())
            return who != "nobody"

        def after_enqueue_log(who, template="welcome"):
            gresque.enqueue_to("log", "Log", who, template)
            if who == "late":
                raise ValueError("too late")
"""


SURROUNDED = """
@gresque.enqueue_middleware
def add_tenant(message, call_next):
    if "out" in message.args:
        return None
    if "raise" in message.args:
        raise LookupError("no tenant")
    message.meta["tenant"] = 7
    return call_next()
"""


TYPED = """
from datetime import datetime
import gresque

@gresque.job(queue="mail", name="Remind")
def remind(when: datetime): ...
"""


class TestEnqueueOfADeclaredJob:
    @pytest.fixture
    def enqueue(self, redis_url: str, tmp_path: Path) -> Callable[..., Answer]:
        (tmp_path / "the_jobs.py").write_text(textwrap.dedent(HOOKED))

        def enqueue(*arguments: str, stdin: bytes = b"") -> Answer:
            arguments = ("enqueue", "-r", "the_jobs", "mail", *arguments)
            return in_a_process(redis_url, *arguments, cwd=tmp_path, stdin=stdin)

        return enqueue

    def test_its_hooks_run_and_its_settings_hold(
        self, enqueue: Callable[..., Answer], redis_client: redis.Redis
    ) -> None:
        code, out, err = enqueue("Greet", '"joe"', "--kwargs", '{"template": "bye"}')
        assert (code, err) == (0, "")
        (item,) = items(redis_client)
        assert out == f"{item['id']}\n"
        assert item["args"] == ["joe", {"template": "bye", "_kwargs": True}]
        assert item["expires_at"] > 0
        assert [item["args"] for item in items(redis_client, "log")] == [["joe", "bye"]]

    def test_a_hook_may_reject_it(
        self, enqueue: Callable[..., Answer], redis_client: redis.Redis
    ) -> None:
        code, out, err = enqueue("Greet", '"nobody"')
        assert (code, out) == (1, "")
        assert err == "gresque: a before_enqueue hook of Greet rejected the job\n"
        assert redis_client.keys("*") == []
        code, out, _ = enqueue("Greet", '"nobody"', "--json")
        assert (code, json.loads(out)["id"]) == (1, None)

    def test_arguments_that_it_does_not_take(
        self, enqueue: Callable[..., Answer], redis_client: redis.Redis
    ) -> None:
        code, out, err = enqueue("Greet", "1", "2", "3")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(
            "gresque: job Greet takes (who, template='welcome'), not 3 positional"
        )
        code, _, err = enqueue("Greet", "-", stdin=b'["joe"]\n[]\n["sue"]\n')
        assert code == 2
        assert err.startswith("gresque: line 2: job Greet takes (who, template='welcome'), not 0 ")
        assert [item["args"] for item in items(redis_client)] == [["joe"]]

    def test_a_stream(self, enqueue: Callable[..., Answer], redis_client: redis.Redis) -> None:
        stdin = b'["joe"]\n["nobody"]\n{"who": "sue"}\n'
        code, out, err = enqueue("Greet", "-", stdin=stdin)
        assert (code, err) == (0, "")
        assert out == "2 jobs enqueued, 1 rejected by a before_enqueue hook\n"
        assert len(items(redis_client)) == len(items(redis_client, "log")) == 2

    def test_a_stream_whose_hook_raises(self, enqueue: Callable[..., Answer]) -> None:
        code, out, err = enqueue("Greet", "-", stdin=b'["joe"]\n["broken"]\n["sue"]\n')
        assert (code, out) == (1, "")
        assert err.startswith("stopped; 0 jobs enqueued, ") and "up to line 2 perhaps" in err
        assert err.splitlines()[1:] == [
            "gresque: hook before_enqueue_check of Greet raised ValueError: a hook's own; the job "
            "is not enqueued (-v shows where it was raised)"
        ]

    @pytest.mark.parametrize(
        ("who", "told", "count"),
        [
            ("broken", "hook before_enqueue_check of Greet raised ValueError: a hook's own; the "
             "job is not enqueued", 0),
            ("refused", "hook before_enqueue_check of Greet raised UnserializableArgument: Log: "
             "argument 1 is an object", 0),
            ("late", "hook after_enqueue_log of Greet raised ValueError: too late; the job is "
             "enqueued", 1),
        ],
        ids=["before", "of gresque", "after"],
    )  # fmt: skip
    def test_a_hook_that_raises(
        self, enqueue: Callable[..., Answer], redis_client: redis.Redis,
        who: str, told: str, count: int,
    ) -> None:  # fmt: skip
        code, out, err = enqueue("Greet", f'"{who}"')
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"gresque: {told}")
        assert len(items(redis_client)) == count
        code, out, err = enqueue("Greet", f'"{who}"', "-v")
        assert (code, out) == (1, "")
        assert err.startswith("Traceback (most recent call last):\n")
        assert 'the_jobs.py", line' in err
        assert f"\ngresque: {told}" in err

    def test_a_middleware_of_the_module(
        self, enqueue: Callable[..., Answer], redis_client: redis.Redis, tmp_path: Path
    ) -> None:
        with (tmp_path / "the_jobs.py").open("a") as file:
            file.write(textwrap.dedent(SURROUNDED))
        assert enqueue("Greet", '"joe"').code == 0
        assert [item["gresque"]["meta"] for item in items(redis_client)] == [{"tenant": 7}]
        code, _, err = enqueue("Greet", '"raise"')
        assert (code, err) == (
            1,
            "gresque: enqueue middleware add_tenant raised LookupError: no tenant; the job is not "
            "enqueued (-v shows where it was raised)\n",
        )
        code, _, err = enqueue("Greet", '"out"')
        assert (code, err.count("an enqueue middleware, or a before_enqueue hook")) == (1, 1)
        assert enqueue("Greet", "1", "2", "3").code == 2
        assert len(items(redis_client)) == 1

    def test_another_name_is_one_of_another_program(
        self, enqueue: Callable[..., Answer], redis_client: redis.Redis
    ) -> None:
        assert enqueue("Archive", "7").code == 0
        assert [item["class"] for item in items(redis_client)] == ["Archive"]

    def test_a_name_that_is_nearly_declared(
        self, enqueue: Callable[..., Answer], redis_client: redis.Redis
    ) -> None:
        code, _, err = enqueue("Gret", "7")
        assert (code, err) == (
            0, "gresque: Gret is not declared in the modules of -r (did you mean 'Greet'?)\n"
        )  # fmt: skip
        assert [item["class"] for item in items(redis_client)] == ["Gret"]

    def test_a_module_that_does_not_import(self, redis_url: str, tmp_path: Path) -> None:
        arguments = ("enqueue", "-r", "nowhere", "mail", "Greet")
        code, _, err = in_a_process(redis_url, *arguments, cwd=tmp_path)
        assert (code, "cannot import nowhere (-r)" in err) == (1, True)


def test_an_argument_with_half_a_character(call: Call) -> None:
    answer = call("enqueue", "mail", "Greet", r'"\ud800"')
    assert answer.code == 2
    assert r"has a lone surrogate, \ud800, which is half a character" in answer.err
    answer = call("enqueue", "mail", "Greet", "-", stdin=rb'["\udc00"]')
    assert r"line 1: it has a lone surrogate, \udc00" in answer.err


class TestEnqueueUnique:
    """Of a unique job the id of the one that does the work is printed."""

    def test_a_duplicate(self, call: Call, redis_client: redis.Redis, unique: JobOf) -> None:
        with unique("Cli.sync", unique="both"):
            _, first, _ = call("enqueue", "mail", "Cli.sync", "7")
            assert call("enqueue", "mail", "Cli.sync", "7") == (0, first, "")
            code, out, _ = call("enqueue", "mail", "Cli.sync", "7", "--json")
        assert (code, json.loads(out)) == (
            0, {"id": first.strip(), "duplicate": True, "queue": "mail", "class": "Cli.sync"}
        )  # fmt: skip
        assert len(items(redis_client)) == 1

    def test_a_stream(self, call: Call, redis_client: redis.Redis, unique: JobOf) -> None:
        stdin = b"[1]\n[2]\n[1]\n[1]\n"
        with unique("Cli.sync", unique="both"):
            found = call("enqueue", "mail", "Cli.sync", "-", stdin=stdin)
            assert found == (0, "2 jobs enqueued, 2 duplicates not\n", "")
            _, out, _ = call("enqueue", "mail", "Cli.sync", "-", "--json", stdin=b"[1]\n[3]\n")
            code, _, err = call("enqueue", "mail", "Cli.sync", "-", stdin=b"[4]\n[]\n")
        counts = {"enqueued": 1, "rejected": 0, "duplicates": 1}
        assert json.loads(out) == {**counts, "queue": "mail", "class": "Cli.sync"}
        assert (code, err.count("\n")) == (2, 1)
        assert "line 2: job Cli.sync takes (site), not 0" in err
        assert len(items(redis_client)) == 4

    def test_one_that_raises(self, call: Call, redis_client: redis.Redis, unique: JobOf) -> None:
        with unique("Cli.sync", unique="both", on_duplicate="raise"):
            call("enqueue", "mail", "Cli.sync", "7")
            for arguments, stdin in ((["7"], b""), (["-"], b"[6]\n[7]\n")):
                code, out, err = call("enqueue", "mail", "Cli.sync", *arguments, stdin=stdin)
                assert (out, err.count("\n")) == ("", 1)
                assert code != 0
                assert "job Cli.sync is not enqueued" in err
        assert len(items(redis_client)) == 1


class JobOf(Protocol):
    def __call__(self, name: str, **options: Any) -> AbstractContextManager[None]: ...


@pytest.fixture
def unique() -> JobOf:
    @contextmanager
    def declare(name: str, **options: Any) -> Iterator[None]:
        before = dict(registry._definitions)

        @gresque.job("q", name=name, **options)
        def sync(site: int) -> None: ...

        try:
            yield
        finally:
            registry._definitions.clear()
            registry._definitions.update(before)

    return declare


class TestEnqueueOfATypedJob:
    def test_arguments_are_json_and_checked(
        self, redis_url: str, redis_client: redis.Redis, tmp_path: Path
    ) -> None:
        (tmp_path / "typed_jobs.py").write_text(textwrap.dedent(TYPED))

        def enqueue(*arguments: str, stdin: bytes = b"") -> Answer:
            arguments = ("enqueue", "-r", "typed_jobs", "mail", "Remind", *arguments)
            return in_a_process(redis_url, *arguments, cwd=tmp_path, stdin=stdin)

        assert enqueue('"2026-01-01T01:00:00+01:00"').code == 0
        assert enqueue("-", stdin=b'{"when": "2026-01-01T00:00:00Z"}').code == 0
        first, second = items(redis_client)
        assert first["args"] == ["2026-01-01T01:00:00+01:00"]
        assert second["args"] == [{"when": "2026-01-01T00:00:00Z", "_kwargs": True}]
        code, out, err = enqueue('"tomorrow"')
        assert (code, out) == (2, "")
        assert err.startswith("gresque: job Remind: argument 'when' does not fit its annotation: ")
        assert err.count("\n") == 1
