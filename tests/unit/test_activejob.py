"""Jobs of ActiveJob: their arguments, the class that is shown of them, and jobs for Rails."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import redis

import gresque
from gresque.contrib import activejob
from gresque.errors import InvalidArguments, UnknownJob, UnserializableArgument
from gresque.failure.entry import encode_entry
from gresque.failure.search import glance
from gresque.inspector.failed_groups import GroupTable
from gresque.inspector.held_jobs import HeldJob
from gresque.jobs import payload
from gresque.jobs.activejob import WRAPPER, job_in, plain_arguments
from gresque.jobs.activejob_args import _READ, read_arguments, write_arguments
from gresque.jobs.current import CurrentJob
from gresque.jobs.label import job_label
from gresque.jobs.perform import perform_here
from gresque.jobs.registry import registry
from gresque.worker.threads import end_log
from tests.support.activejobs import DELAYED, ITEMS, WIRE, serialized, wrap
from tests.support.cli import Call

LINES = (WIRE / "activejob_arguments.jsonl").read_text().splitlines()
"""Arguments as Rails 6.1 serialized them."""
MICRO = 123456
INDIA, BERLIN = timezone(timedelta(hours=5.5)), timezone(timedelta(hours=1))

READ: list[tuple[list[Any], dict[str, Any]]] = [
    (["bol", 1.5, None, True, 10**30], {}),
    (
        [
            datetime(2026, 11, 26, 13, 16, 22, MICRO, UTC),
            datetime(1970, 1, 1, 5, 30, tzinfo=INDIA),
        ],
        {},
    ),
    (
        [
            datetime(2026, 11, 26, 13, 16, 22, 500000, timezone(timedelta(hours=2))),
            date(2026, 11, 26),
        ],
        {},
    ),
    ([datetime(2026, 11, 26, 13, 16, 22, tzinfo=BERLIN)], {}),
    ([timedelta(minutes=5), timedelta(seconds=2802546), timedelta(hours=1.5)], {}),
    ([{"a": 1, "b": "c"}, {"b": 1}, {"a": {"x": 1}}], {}),
    (["gid://shop/Person/7", ["gid://shop/Person/8"]], {}),
    (["1.1"], {}),
    (["MailJob", "Enumerable"], {}),
    ([1, {"k": 2}], {}),
]


@pytest.fixture(autouse=True)
def _own(own_registry: None) -> None:
    """These tests declare MailJob."""


@pytest.mark.parametrize(
    ("line", "expected"),
    [*zip(LINES, READ, strict=True)],
    ids=range(len(READ)),
)
def test_arguments_are_read_as_rails_wrote_them(line: str, expected: Any) -> None:
    found = read_arguments("MailJob", json.loads(line))
    assert found == expected
    for value, wanted in zip(found[0], expected[0], strict=True):
        assert type(value) is type(wanted)
        if isinstance(value, datetime):
            assert value.utcoffset() == wanted.utcoffset()


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (serialized("BigDecimal", "0.11e1"), Decimal("1.1")),
        (
            {
                "_aj_serialized": "ActiveJob::Serializers::RangeSerializer",
                "begin": 1, "end": serialized("Date", "2026-01-02"), "exclude_end": False,
            },
            activejob.Range(1, date(2026, 1, 2), False),
        ),
        (serialized("TimeWithZone", "2026-11-26T13:16:22.000000000Z", time_zone="UTC"),
         datetime(2026, 11, 26, 13, 16, 22, tzinfo=UTC)),
    ],
    ids=["decimal", "range", "time zone"],
)  # fmt: skip
def test_types_of_later_rails(written: dict[str, Any], value: Any) -> None:
    assert read_arguments("MailJob", [[written]]) == ([[value]], {})


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ({"_aj_serialized": "MoneySerializer", "amount": 1},
         "argument 2 was written by ActiveJob's serializer MoneySerializer, which is unknown here"),
        ({"_aj_serialized": None}, "serializer None"),
        (serialized("Date", "tomorrow"), "argument 2 cannot be read as ActiveJob wrote it: Value"),
        (serialized("BigDecimal", "much"), "'much' is no decimal"),
        ({"_aj_serialized": "ActiveJob::Serializers::TimeSerializer"}, "KeyError"),
    ],
    ids=range(5),
)  # fmt: skip
def test_what_cannot_be_read_is_named(written: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArguments, match="job MailJob: ") as caught:
        read_arguments("MailJob", [1, {"deep": [written]}])
    assert reason in str(caught.value)


def test_a_serializer_of_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_READ, "MoneySerializer", dict)  # which goes at the end

    @activejob.serializer("MoneySerializer")
    def money(found: dict[str, Any]) -> tuple[Any, Any]:
        return found["amount"], found["at"]

    written = {"_aj_serialized": "MoneySerializer", "amount": 5, "at": serialized("Symbol", "x")}
    assert read_arguments("MailJob", [written]) == ([(5, "x")], {})


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((1, "zwei", {"k": 1}), {"sym": "bol", "kw": 2}),
    ((1.5, None, "sym", datetime(1970, 1, 1, tzinfo=UTC), 10**30), {}),
]


@pytest.mark.parametrize(("raw", "call"), [*zip(ITEMS, CALLS, strict=True)], ids=range(2))
def test_captured_jobs_are_performed_by_their_own_class(raw: bytes, call: Any) -> None:
    seen: list[Any] = []

    @activejob.job("MailJob")
    def mail(*args: Any, **kwargs: Any) -> None:
        seen.append((args, kwargs))

    found = payload.decode(raw)
    perform_here(registry.get_wrapped(found.name, found.args), "rb", raw)
    assert seen == [call]


def test_annotated_parameters_get_their_types_and_others_those_of_rails() -> None:
    calls: list[Any] = []

    @activejob.job("MailJob")
    def mail(at: datetime, price: Decimal, plain: Any, wait: timedelta = timedelta(0)) -> None:
        calls.append((at, price, plain, wait))

    moment = datetime(2026, 11, 26, 13, 16, 22, MICRO, UTC)
    raw = wrap(
        "MailJob",
        [
            serialized("Time", "2026-11-26T13:16:22.123456000Z"), "1.10",
            serialized("Date", "2026-11-26"),
            {"wait": serialized("Duration", 90), "_aj_ruby2_keywords": ["wait"]},
        ],
    )  # fmt: skip
    perform_here(mail.definition, "rb", raw)
    assert calls == [(moment, Decimal("1.10"), date(2026, 11, 26), timedelta(seconds=90))]
    with pytest.raises(InvalidArguments, match="'at' does not fit its annotation"):
        perform_here(mail.definition, "rb", wrap("MailJob", [5, "1", 2]))


def test_keywords_of_rails_before_6_1_by_the_signature() -> None:
    """There a Hash with symbol keys may be an argument or the keywords."""
    calls: list[Any] = []

    @activejob.job("MailJob", ruby_keywords=True)
    def mail(user: int, urgent: bool = False) -> None:
        calls.append((user, urgent))

    raw = wrap("MailJob", [7, {"urgent": True, "_aj_symbol_keys": ["urgent"]}])
    perform_here(mail.definition, "rb", raw)
    assert calls == [(7, True)]


def test_hooks_get_the_same_arguments() -> None:
    heard: list[Any] = []

    @activejob.job("MailJob")
    def mail(*args: Any, **kwargs: Any) -> None:
        raise ValueError("no")

    @mail.before_perform
    def before(*args: Any, **kwargs: Any) -> None:
        heard.append((args, kwargs))

    @mail.on_failure
    def failed(error: Exception, *args: Any, **kwargs: Any) -> None:
        heard.append((args, kwargs))

    with pytest.raises(ValueError):
        perform_here(mail.definition, "rb", ITEMS[0])
    assert heard == [((1, "zwei", {"k": 1}), {"sym": "bol", "kw": 2})] * 2


def test_what_the_payload_says_beside_the_arguments() -> None:
    found: list[Any] = []

    @activejob.job("MailJob")
    def mail() -> None:
        found.append(activejob.current())

    raw = wrap("MailJob", [], executions=2, exception_executions={"[Net::Timeout]": 2}, priority=5)
    perform_here(mail.definition, "rb", raw)
    (job,) = found
    assert (job.job_class, job.executions, job.priority) == ("MailJob", 3, 5)
    assert (job.queue_name, job.locale, job.timezone) == ("rb", "en", None)
    assert job.exception_executions == {"[Net::Timeout]": 2}
    assert job.job_id == "060124d5-f019-4e46-b723-d4942fcef28b"
    assert activejob.current() is None, "outside of jobs"
    perform_here(mail.definition, "q", payload.encode("MailJob", [], None, "7"))
    assert found[1] is None, "Python enqueued it"


def test_an_undeclared_class_is_named() -> None:
    with pytest.raises(UnknownJob, match=r"no job of ActiveJob named 'MailJob' is declared here; "):
        registry.get_wrapped(WRAPPER, payload.decode(ITEMS[0]).args)
    gresque.job(queue="q", name="MailJob")(lambda: None)
    with pytest.raises(UnknownJob, match=r"declare it with @activejob\.job\('MailJob'\)"):
        registry.get_wrapped(WRAPPER, payload.decode(ITEMS[0]).args)


@pytest.mark.parametrize("args", [[], [5], [{}], [{"job_class": 5, "arguments": []}], [{}, {}]])
def test_a_wrapper_without_a_job_is_no_job(args: list[Any]) -> None:
    with pytest.raises(gresque.InvalidPayload, match="its args are not one object with a job_"):
        registry.get_wrapped(WRAPPER, args)
    raw = json.dumps({"class": WRAPPER, "args": args}).encode()
    assert payload.class_of(raw) in (WRAPPER, "x")
    assert payload.loads(raw) == {"class": WRAPPER, "args": args}


def test_the_whole_hash_for_a_job_of_the_wrappers_own_name() -> None:
    """As it was before there was @activejob.job."""
    calls: list[Any] = []
    gresque.job(queue="q", name=WRAPPER)(calls.append)
    (job,) = payload.decode(ITEMS[0]).args or []
    definition = registry.find(WRAPPER)
    assert definition is not None
    perform_here(definition, "rb", ITEMS[0])
    assert calls == [job]


# What is shown


def test_each_view_shows_the_inner_class() -> None:
    raw = ITEMS[0]
    entry = encode_entry(raw, "ValueError", "no", [], "vm:1:rb:1:1:1", "rb")
    job = (b"0", "rb", raw)
    table = GroupTable()
    number, _ = table.read(entry)
    names = [
        payload.class_of(raw), payload.loads(raw)["class"], glance(entry).job_class,
        table.group(number).key.job_class, HeldJob(b"", "rb", raw).job, end_log.class_of(job),
        CurrentJob("rb", raw).name,
    ]  # fmt: skip
    assert names == ["MailJob"] * len(names)
    label = 'MailJob(1, "zwei", {"k": 1}, sym="bol", kw=2)'
    assert job_label(payload.loads(raw)) == HeldJob(b"", "rb", raw).label == label
    assert end_log.describe(job) == "MailJob(1, 'zwei', {'k': 1}, sym='bol', kw=2) from rb"


def test_what_is_shown_hides_what_is_secret() -> None:
    raw = wrap("MailJob", [{"password": "x"}, {"token": "y", "_aj_ruby2_keywords": ["token"]}])
    found = payload.loads(raw)
    assert found["args"] == [{"password": "[filtered]"}]
    assert found["kwargs"] == {"token": "[filtered]"}
    assert found["activejob"]["queue_name"] == "rb" and "arguments" not in found["activejob"]


def test_plain_arguments_of_every_kind() -> None:
    arguments = [
        serialized("Time", "2026-01-01T00:00:00.000000000Z"), {"_aj_globalid": "gid://a/B/1"},
        {"_aj_serialized": "MoneySerializer", "amount": serialized("Symbol", "x")}, [[1]],
    ]  # fmt: skip
    assert plain_arguments(arguments) == (
        ["2026-01-01T00:00:00.000000000Z", "gid://a/B/1", {"amount": "x"}, [[1]]], {},
    )  # fmt: skip


def test_commands_name_the_inner_class(call: Call, redis_client: redis.Redis) -> None:
    redis_client.sadd("resque:queues", "rb")
    redis_client.rpush("resque:queue:rb", *ITEMS)
    entry = encode_entry(ITEMS[0], "ValueError", "no", [], "vm:1:rb:1:1:1", "rb")
    redis_client.rpush("resque:failed", entry)
    redis_client.zadd("resque:delayed_queue_schedule", {"2000000000": 2000000000})
    redis_client.rpush("resque:delayed:2000000000", DELAYED)
    commands = ["queues peek rb", "failed list", "failed groups", "failed show 0", "delayed list"]
    for command in commands:
        answer = call(*command.split())
        assert "MailJob" in answer.out and "JobWrapper" not in answer.out, command
    assert call("failed", "retry", "--class", "MailJob").code == 0
    assert redis_client.lindex("resque:queue:rb", -1) == ITEMS[0], "as Rails wrote it"


def test_waiting_jobs_are_taken_back_by_their_arguments(
    client: gresque.Client, redis_client: redis.Redis
) -> None:
    @activejob.job("MailJob", queue="rb")
    def mail(*args: Any, **kwargs: Any) -> None: ...

    redis_client.sadd("resque:queues", "rb")
    redis_client.rpush("resque:queue:rb", *ITEMS)
    assert client.dequeue(mail, 1, "zwei", {"k": 2}, sym="bol", kw=2) == 0
    assert client.dequeue(mail, 1, "zwei", {"k": 1}, sym="bol", kw=2) == 1
    assert redis_client.lrange("resque:queue:rb", 0, -1) == [ITEMS[1]]
    assert client.dequeue(mail) == 1


# For Rails


def test_a_job_for_rails_has_activejobs_form(redis_url: str, redis_client: redis.Redis) -> None:
    gresque.configure(redis_url)
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    job_id = activejob.enqueue_to("mailers", "MailJob", 1, moment, {"a": date(2026, 1, 2)}, kw=2)
    (raw,) = redis_client.lrange("resque:queue:mailers", 0, -1)
    item = json.loads(raw)
    captured = json.loads(ITEMS[0])
    assert item["class"] == captured["class"]
    (job,), (theirs,) = item["args"], captured["args"]
    assert list(job) == list(theirs)
    assert (job["job_class"], job["job_id"], job["queue_name"]) == ("MailJob", job_id, "mailers")
    assert read_arguments("MailJob", job["arguments"]) == (
        [1, moment, {"a": date(2026, 1, 2)}], {"kw": 2},
    )  # fmt: skip
    assert job["arguments"][-1] == {"kw": 2, "_aj_ruby2_keywords": ["kw"]}
    assert job_in(item["args"]) is not None


@pytest.mark.parametrize(
    "value",
    [1, "x", None, True, 1.5, [1, [2]], {"a": {"b": 1}}, date(2026, 1, 2), Decimal("1.10"),
     timedelta(seconds=90), timedelta(seconds=0.5), datetime(2026, 1, 2, tzinfo=INDIA)],
    ids=repr,
)  # fmt: skip
def test_what_python_writes_for_rails_reads_back(value: Any) -> None:
    assert read_arguments("J", write_arguments("J", [value], {})) == ([value], {})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"x", "is a bytes, which ActiveJob cannot read"),
        (datetime(2026, 1, 1), "is a time without a zone"),
        ({"_aj_serialized": 1}, "has the key '_aj_serialized', which is ActiveJob's"),
        ({1}, "is a set"),
    ],
    ids=["bytes", "naive", "mark", "set"],
)
def test_what_rails_cannot_read_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(UnserializableArgument, match="J: argument 1 ") as caught:
        write_arguments("J", [value], {})
    assert reason in str(caught.value)


@pytest.mark.parametrize("options", [{"name": "x"}, {"retires": 3}])
def test_a_wrong_option_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(gresque.JobDeclarationError, match=r"is no option of @activejob\.job"):
        activejob.job("MailJob", **options)
    with pytest.raises(gresque.JobDeclarationError, match="the name of the class in Rails"):
        activejob.job(lambda: None)  # type: ignore[arg-type]
