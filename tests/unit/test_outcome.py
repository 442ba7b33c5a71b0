"""How jobs end, on gevent without its patches."""

from __future__ import annotations

import json
from typing import Any

import gevent
import pytest

from gresque.errors import DontPerform, JobKilled
from tests.support.pool_bench import (
    PATIENCE_SECONDS,
    OpenBench,
    Unprintable,
    a_job,
    fails_with,
    hostile,
)

# what is raised, the failure's exception and error
ERRORS: list[tuple[Any, str, str]] = [
    (ValueError("boom"), "ValueError", "boom"),
    (ValueError, "ValueError", ""),
    (
        Unprintable(),
        "tests.support.pool_bench.Unprintable",
        "<no message: ZeroDivisionError in __str__>",
    ),
    (gevent.GreenletExit("x"), "greenlet.GreenletExit", "x"),
    (SystemExit(3), "SystemExit", "3"),
    (KeyboardInterrupt(), "KeyboardInterrupt", ""),
    (GeneratorExit(), "GeneratorExit", ""),
    (gevent.Timeout(5), "gevent.timeout.Timeout", "5 seconds"),
    (StopIteration(1), "StopIteration", "1"),
    (MemoryError(), "MemoryError", ""),
    (RecursionError("deep"), "RecursionError", "deep"),
    (BaseException("base"), "BaseException", "base"),
    (ExceptionGroup("group", [ValueError()]), "ExceptionGroup", "group (1 sub-exception)"),
    (JobKilled("own"), "DirtyExit", "Job was killed: own"),
    (JobKilled(), "DirtyExit", "Job was killed: it raised JobKilled itself"),
    (ValueError("\ud800"), "ValueError", "\\ud800"),
    (ValueError("x" * 20_000), "ValueError", "x" * 10_000),
]


@pytest.mark.parametrize(("error", "name", "text"), ERRORS, ids=[row[1] for row in ERRORS])
def test_whatever_a_job_raises_becomes_a_failure(
    open_bench: OpenBench, caplog: pytest.LogCaptureFixture, error: Any, name: str, text: str
) -> None:
    caplog.set_level("ERROR", "gresque.job")  # xdist cannot send every text that is captured
    bench = open_bench(1)
    bench.add("fail", fails_with(error))
    bench.run(a_job(0, "fail", 1), a_job(1))
    assert bench.counts == (1, 1, 0)
    (entry,) = bench.entries
    assert (entry["exception"], entry["error"]) == (name, text)
    assert entry["payload"] == json.loads(a_job(0, "fail", 1)[2])
    assert (entry["worker"], entry["queue"]) == ("vm:1:q:1:1:1", "q")
    assert any("in `fail'" in line for line in entry["backtrace"])
    assert not any("gresque/worker/" in line for line in entry["backtrace"])


def test_a_timeout_of_its_own_is_the_jobs_error(open_bench: OpenBench) -> None:
    bench = open_bench(1)

    def slow() -> None:
        with gevent.Timeout(0.005):
            gevent.sleep(PATIENCE_SECONDS)

    bench.add("slow", slow)
    bench.run(a_job(0, "slow"), a_job(1))
    assert bench.counts == (1, 1, 0)
    assert bench.entries[0]["error"] == "0.005 seconds"


UNREADABLE = [
    b"", b"not json", b"\xff", b"[]", b"null", b"{}", b'{"class":5}', b'{"class":[]}',
    b'{"class":"ok","args":{}}', b'{"class":"ok","args":"text"}', b'{"class":"ok","kwargs":[]}',
    b'{"class":"ok","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"x" * (8 * 1024 * 1024 + 1),
]  # fmt: skip


@pytest.mark.parametrize("raw", UNREADABLE, ids=[f"{raw[:20]!r}" for raw in UNREADABLE])
def test_an_item_that_is_no_job_fails(open_bench: OpenBench, raw: bytes) -> None:
    bench = open_bench(1)
    bench.run((b"0", "q", raw), a_job(1))
    assert bench.counts == (1, 1, 0)
    (entry,) = bench.entries
    assert entry["exception"] in ("InvalidPayload", "PayloadTooLarge")


@pytest.mark.parametrize("hooks", [None, type("Hooks", (), {"after_perform": lambda: None})])
def test_a_job_that_returns_work_to_do_fails(open_bench: OpenBench, hooks: Any) -> None:
    async def send() -> None: ...

    bench = open_bench(1)
    bench.add("lazy", lambda: send(), hooks)
    bench.run(a_job(0, "lazy"), a_job(1))
    assert bench.counts == (1, 1, 0)
    (entry,) = bench.entries
    assert entry["exception"] == "InvalidJobResult"
    assert entry["error"].startswith("job lazy returned a coroutine, which is never awaited")


def test_an_unknown_job_fails(open_bench: OpenBench) -> None:
    bench = open_bench(1)
    bench.run(a_job(0, "os.system", "true"), a_job(1))
    assert bench.counts == (1, 1, 0)
    assert bench.entries[0]["exception"] == "UnknownJob"
    assert "'os.system'" in bench.entries[0]["error"]


@pytest.mark.parametrize("args", [(), (1, 2), ("x",)])
def test_wrong_arguments_fail(open_bench: OpenBench, args: Any) -> None:
    bench = open_bench(1)
    bench.add("two", lambda one, *, two: None)
    bench.run(a_job(0, "two", *args))
    assert bench.counts == (0, 1, 0)
    assert bench.entries[0]["exception"] == "TypeError"


def test_skip_failed_queue_counts_and_leaves_no_entry(open_bench: OpenBench) -> None:
    bench = open_bench(1)
    bench.add("fail", fails_with(ValueError()), skip_failed_queue=True)
    bench.run(a_job(0, "fail"))
    assert (bench.counts, bench.entries) == ((0, 1, 0), [])


def test_hooks_run_around_the_job(open_bench: OpenBench) -> None:
    bench, told = open_bench(1), []

    class Hooks:
        def before_perform(*args: Any) -> None:
            if args == (1,):
                raise DontPerform

        def on_failure(error: Exception, *args: Any) -> None:
            told.append((error, args))
            raise ZeroDivisionError("an on_failure hook that fails itself")

    boom = ValueError("boom")
    bench.add("fail", fails_with(boom), Hooks)
    bench.run(a_job(0, "fail", 1), a_job(1, "fail", 2), a_job(2))
    assert told == [(boom, (2,))]
    assert bench.counts == (2, 1, 0)
    assert bench.entries[0]["error"] == "boom"


@pytest.mark.parametrize("args", [b"5", b"true", b"1.5", b'"x"', b"{}"])
def test_args_that_are_no_list_cost_one_job(open_bench: OpenBench, args: bytes) -> None:
    bench = open_bench(1)
    bench.run((b"0", "q", b'{"class":"ok","args":' + args + b"}"), a_job(1))
    assert bench.counts == (1, 1, 0)


@pytest.mark.parametrize(
    "error",
    [gevent.Timeout(1), gevent.GreenletExit(), SystemExit(1), JobKilled("x")],
    ids=lambda error: type(error).__name__,
)
def test_a_hook_may_raise_anything(open_bench: OpenBench, error: BaseException) -> None:
    bench = open_bench(1)
    hooks = type("Hooks", (), {"on_failure": fails_with(error)})
    bench.add("fail", fails_with(ValueError()), hooks)
    bench.run(a_job(0, "fail"), a_job(1))
    assert bench.counts == (1, 1, 0)


@pytest.mark.parametrize("base", [Exception, BaseException, JobKilled, gevent.GreenletExit])
@pytest.mark.parametrize("in_hook", [True, False])
def test_an_exception_that_raises_whatever_is_asked(
    open_bench: OpenBench, base: type[BaseException], in_hook: bool
) -> None:
    bench = open_bench(1)
    hooks = type("Hooks", (), {"on_failure": fails_with(hostile(base))}) if in_hook else None
    bench.add("fail", fails_with(hostile(base)), hooks)
    bench.run(a_job(0, "fail"), a_job(1))
    assert bench.counts == (1, 1, 0)
    (entry,) = bench.entries
    assert entry["exception"] in ("tests.support.pool_bench.Hostile", "DirtyExit")
    assert "<no message: greenlet.GreenletExit in __str__>" in entry["error"]
