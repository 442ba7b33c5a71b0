"""How jobs end, on gevent without its patches."""

from __future__ import annotations

import json
import time
from typing import Any

import gevent
import pytest

from gresque.errors import DontPerform, GiveUp, JobKilled, JobTimeout, RetryLater
from gresque.failure.kept_item import out_of_entry, wrapped
from gresque.jobs import payload
from gresque.jobs.current import current_job
from gresque.jobs.retry_policy import retry_policy
from gresque.store.effects import pushed
from gresque.store.keys import Keys
from tests.support.pool_bench import (
    PATIENCE_SECONDS,
    OpenBench,
    PoolBench,
    Unprintable,
    a_job,
    fails_with,
    hostile,
    wait_long,
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


# Jobs that run again


def declare(bench: PoolBench, function: Any, hooks: Any = None, **options: Any) -> None:
    bench.add("fail", function, hooks, retry=retry_policy("fail", **options))


class Noted:
    """The hooks of a failure, each noting that it was called."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, tuple[Any, ...]]] = []
        for kind in ("on_retry", "on_failure", "on_give_up"):
            setattr(self, kind, self._noting(kind))

    def _noting(self, kind: str) -> Any:
        def hook(error: BaseException, *args: Any) -> None:
            job = current_job()
            assert job is None or job.name == "fail"
            self.told.append((kind, type(error).__name__, args))

        return hook

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.told]


def hooks_of(noted: Noted) -> Any:
    return type("Hooks", (), {kind: staticmethod(getattr(noted, kind)) for kind in (
        "on_retry", "on_failure", "on_give_up"
    )})  # fmt: skip


@pytest.mark.parametrize(("error", "name", "text"), ERRORS, ids=[row[1] for row in ERRORS])
def test_whatever_a_job_raises_is_tried_again(
    open_bench: OpenBench, caplog: pytest.LogCaptureFixture, error: Any, name: str, text: str
) -> None:
    """But for what an operator has killed. Its message is cut."""
    caplog.set_level("ERROR", "gresque.job")
    bench = open_bench(1)
    declare(bench, fails_with(error), retries=3, backoff=2.5)
    bench.run(a_job(0, "fail", 1), a_job(1))
    if name == "DirtyExit":
        assert (bench.counts, bench.in_flight.retried, bench.put_off) == ((1, 1, 0), 0, [])
        return
    assert (bench.counts, bench.in_flight.retried, bench.entries) == ((1, 0, 0), 1, [])
    ((kind, delay, item),) = bench.put_off
    assert (kind, delay, item["class"], item["args"]) == ("later", 2500, "fail", [1])
    said = item["gresque"]
    assert said["attempt"] == 2
    assert [(each["class"], each["message"]) for each in said["errors"]] == [(name, text[:500])]


def test_ten_megabytes_of_message_are_cut(open_bench: OpenBench) -> None:
    bench = open_bench(1)
    declare(bench, fails_with(ValueError("x" * 10**7)), retries=1, backoff=0)
    bench.run(a_job(0, "fail"))
    ((kind, _, item),) = bench.put_off
    assert kind == "push"
    assert item["gresque"]["errors"][0]["message"] == "x" * 500


def test_the_attempts_of_a_job_one_after_the_other(open_bench: OpenBench) -> None:
    """The hooks say whether it goes on, and the entry has what went before."""
    bench, noted = open_bench(1), Noted()
    declare(bench, fails_with(ValueError("no")), hooks_of(noted), retries=2, backoff=[1, 0])
    bench.run(a_job(0, "fail", 7))
    for slot in (1, 2):
        item = bench.put_off[-1][2]
        assert item["gresque"]["attempt"] == slot + 1
        bench.run((b"%d" % slot, "q", json.dumps(item).encode()))
    assert [kind for kind, _, _ in bench.put_off] == ["later", "push"]
    assert noted.kinds == ["on_retry", "on_retry", "on_failure", "on_give_up"]
    assert {args for _, _, args in noted.told} == {(7,)}
    assert (bench.counts, bench.in_flight.retried) == ((0, 1, 0), 2)
    (entry,) = bench.entries
    assert (entry["exception"], entry["error"]) == ("ValueError", "no")
    assert len(entry["payload"]["gresque"]["errors"]) == 3
    assert entry["payload"]["gresque"]["attempt"] == 3


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (GiveUp("no such user"), ["on_failure", "on_give_up"]),
        (KeyError("fatal"), ["on_failure", "on_give_up"]),
        (RetryLater(30), []),
        (IndexError("ignored"), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_hooks_of_what_is_no_failed_attempt(
    open_bench: OpenBench, error: BaseException, told: list[str]
) -> None:
    bench, noted = open_bench(1), Noted()
    options = {"fatal": KeyError, "ignore": IndexError, "backoff": 30}
    declare(bench, fails_with(error), hooks_of(noted), retries=2, **options)
    bench.run(a_job(0, "fail", 7))
    assert noted.kinds == told
    assert bench.in_flight.retried == 0
    if told:
        assert bench.counts == (0, 1, 0)
    else:
        assert bench.counts == (0, 0, 1)
        ((kind, delay, item),) = bench.put_off
        assert (kind, delay) == ("snooze", 30_000)
        assert item["gresque"].keys() == {"snoozes", "run_at"}


def test_a_job_that_snoozes_for_ever_fails(open_bench: OpenBench) -> None:
    bench = open_bench(1)
    declare(bench, fails_with(RetryLater(30)), retries=5)
    item = {"class": "fail", "args": [], "gresque": {"snoozes": 1000}}
    bench.run((b"0", "q", json.dumps(item).encode()))
    (entry,) = bench.entries
    assert entry["exception"] == "RetryLater"
    assert entry["error"] == "run again in 30 s; it has asked for that 1,000 times in a row"


def test_a_job_that_says_nothing_goes_by_the_setting(open_bench: OpenBench) -> None:
    """Jobs of other programs do, too."""
    bench, noted = open_bench(1, retries=1), Noted()
    bench.add("fail", fails_with(ValueError()), hooks_of(noted))
    bench.run(a_job(0, "fail"))
    ((_, delay, item),) = bench.put_off
    assert 16_000 * 0.85 <= delay <= 16_000 * 1.15 + 1
    bench.run((b"1", "q", json.dumps(item).encode()))
    assert bench.counts == (0, 1, 0)
    assert noted.kinds == ["on_retry", "on_failure", "on_give_up"]
    plain, told = open_bench(1), Noted()
    plain.add("fail", fails_with(ValueError()), hooks_of(told))
    plain.run(a_job(0, "fail"))
    assert told.kinds == ["on_failure"], "there was nothing to give up"


def test_a_job_over_its_time_is_tried_again(open_bench: OpenBench) -> None:
    bench = open_bench(1)
    declare(bench, fails_with(JobTimeout("it ran for over 5 s")), retries=1, backoff=2)
    bench.run(a_job(0, "fail"))
    ((kind, _, item),) = bench.put_off
    assert (kind, item["gresque"]["errors"][0]["class"]) == ("later", "JobTimeout")


@pytest.mark.parametrize(
    "broken",
    [ZeroDivisionError(), SystemExit(), gevent.Timeout(1)],
    ids=lambda error: type(error).__name__,
)
def test_a_broken_back_off_costs_no_retry(
    open_bench: OpenBench, caplog: pytest.LogCaptureFixture, broken: BaseException
) -> None:
    bench = open_bench(1)
    declare(bench, fails_with(ValueError()), retries=1, backoff=fails_with(broken))
    bench.run(a_job(0, "fail"))
    ((kind, delay, _),) = bench.put_off
    assert kind == "later" and 16_000 * 0.85 <= delay <= 16_000 * 1.15 + 1
    assert "the backoff of fail raised" in caplog.text


@pytest.mark.parametrize("base", [Exception, BaseException])
def test_nor_does_one_whose_error_cannot_be_printed(
    open_bench: OpenBench, base: type[BaseException]
) -> None:
    bench = open_bench(1)
    declare(bench, fails_with(ValueError()), retries=1, backoff=fails_with(hostile(base)))
    bench.run(a_job(0, "fail"), a_job(1))
    assert (bench.counts, bench.in_flight.retried) == ((1, 0, 0), 1)


@pytest.mark.parametrize("wrong", [float("nan"), "soon", None, -1], ids=repr)
def test_a_class_of_ones_own_with_a_wrong_delay_fails(open_bench: OpenBench, wrong: Any) -> None:
    """It asked for another run; when that would be is not known, and its slot must not stay."""

    class Mine(RetryLater):
        def __init__(self) -> None:
            self.seconds = wrong

    bench = open_bench(1)
    declare(bench, fails_with(Mine()), retries=1)
    bench.run(a_job(0, "fail"), a_job(1))
    assert bench.counts == (1, 1, 0)


def test_an_unknown_job_waits_for_its_code(
    open_bench: OpenBench, caplog: pytest.LogCaptureFixture
) -> None:
    """Its name is logged once, however many wait."""
    bench = open_bench(1, unknown_grace_seconds=300)
    item = {"class": "not.yet", "args": [], "gresque": {"unknown_since": time.time() - 299}}
    late = {"class": "not.yet", "args": [], "gresque": {"unknown_since": time.time() - 301}}
    jobs = [(b"%d" % n, "q", json.dumps(each).encode()) for n, each in enumerate((item, late), 1)]
    bench.run(a_job(0, "not.yet"), *jobs, a_job(3, "not.yet"), a_job(4, "never"))
    assert (bench.counts, bench.in_flight.retried) == ((0, 1, 4), 0)
    assert [(kind, delay) for kind, delay, _ in bench.put_off] == [("snooze", 5000)] * 4
    first, second, *_ = (item["gresque"]["unknown_since"] for _, _, item in bench.put_off)
    assert first > time.time() - 60 and second == item["gresque"]["unknown_since"]  # type: ignore[index]
    (entry,) = bench.entries
    assert entry["exception"] == "UnknownJob"
    lines = [record.getMessage() for record in caplog.records if "declared here" in record.message]
    waiting = [line for line in lines if "wait 300 s for a worker that knows them" in line]
    assert len(waiting) == 2 and "'not.yet'" in waiting[0] and "'never'" in waiting[1]


KEPT = [b"not json", b"", b"\xff\x00", b'{"args":[1]}', wrapped(b"not json"), b'{"class":"ok"}']


@pytest.mark.parametrize("item", KEPT, ids=range(len(KEPT)))
def test_an_item_that_another_program_retries_goes_back_as_it_was(
    open_bench: OpenBench, item: bytes
) -> None:
    """Their requeue pushes the payload of the entry, whose argument is the item."""
    bench = open_bench(1, unknown_grace_seconds=300)
    bench.run((b"0", "q", wrapped(item)), a_job(1))
    assert bench.counts == (1, 0, 0) and bench.in_flight.retried == 1
    (settled,) = bench.in_flight.settled
    assert settled.effects == (pushed(Keys("resque"), "q", item),)


def test_a_wrapped_item_ends_at_last() -> None:
    """No loop: what goes back is shorter than what came."""
    raw, rounds = wrapped(wrapped(wrapped(b"not json"))), 0
    while (found := out_of_entry(raw)) is not None:
        assert len(found) < len(raw)
        raw, rounds = found, rounds + 1
    assert (raw, rounds) == (b"not json", 3)


@pytest.mark.parametrize(
    ("args", "exception", "reason"),
    [
        ([], "UnknownJob", "keeps an item that was no job as its argument, and this one has none"),
        ([5], "UnknownJob", "this one has none"),
        (["?", "base64"], "InvalidPayload", "the base64 of its payload cannot be read"),
    ],
)
def test_one_without_its_item_fails_and_waits_for_no_code(
    open_bench: OpenBench, args: list[Any], exception: str, reason: str
) -> None:
    bench = open_bench(1, unknown_grace_seconds=300)
    bench.run(a_job(0, payload.INVALID, *args))
    assert (bench.counts, bench.put_off) == ((0, 1, 0), [])
    (entry,) = bench.entries
    assert entry["exception"] == exception and reason in entry["error"]
    assert entry["payload"]["args"] == args, "its shape stays, for the next retry"


def test_a_shutdown_takes_no_attempt(open_bench: OpenBench) -> None:
    bench = open_bench(1)
    declare(bench, wait_long, retries=5)
    item = json.dumps({"class": "fail", "args": [], "gresque": {"attempt": 3}}).encode()
    bench.put((b"0", "q", item))
    bench.until(lambda: bool(bench.pool.running_jobs()))
    bench.pool.kill_jobs("shutdown", requeue=True)
    bench.until(lambda: len(bench.in_flight.ended) == 1)
    assert bench.counts == (0, 0, 1)
    (settled,) = bench.in_flight.settled
    assert (settled.effects[0].kind, settled.job[2]) == ("requeue", item)


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
