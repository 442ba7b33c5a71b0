"""Arguments of annotated types: they arrive as they were sent, and the wire is plain JSON."""

from __future__ import annotations

import collections.abc as abc
import enum
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gresque
from gresque.errors import (
    InvalidArguments,
    JobDeclarationError,
    UnserializableArgument,
    WrongArguments,
)
from gresque.jobs.payload import decode, split
from gresque.jobs.perform import perform_here
from gresque.jobs.retry_policy import next_attempt, retry_policy
from tests.support.pool_bench import OpenBench, a_job
from tests.support.pool_bench import open_bench_fixture as open_bench_fixture
from tests.support.typed_jobs import declare, got, of_type, wire_of
from tests.support.typed_jobs import none_got_fixture as none_got_fixture

if TYPE_CHECKING:
    from nowhere import Hidden

pydantic = pytest.importorskip("pydantic")

pytestmark = pytest.mark.usefixtures("own_registry", "none_got")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(msgspec.Struct, frozen=True):
    x: int
    when: date


@dataclass
class Order:
    id: UUID
    paid: datetime
    points: list[Point] = field(default_factory=list)
    parent: Order | None = None


class Row(TypedDict):
    price: Decimal
    note: NotRequired[bytes]


class Pair(NamedTuple):
    left: int
    right: timedelta


class Model(pydantic.BaseModel):  # type: ignore[misc,name-defined]
    id: UUID
    inner: list[UUID]
    at: datetime


zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=zones)
decimals = st.decimals(allow_nan=False)
points = st.builds(Point, st.integers(-(2**53), 2**53), st.dates())
orders = st.recursive(
    st.builds(Order, st.uuids(), moments, st.lists(points, max_size=2)),
    lambda inner: st.builds(Order, st.uuids(), moments, st.just([]), inner),
    max_leaves=3,
)
rows = st.fixed_dictionaries({"price": decimals}, optional={"note": st.binary()})

TYPES: dict[Any, st.SearchStrategy[Any]] = {
    datetime: moments,
    date: st.dates(),
    time: st.times(),
    timedelta: st.timedeltas(),
    UUID: st.uuids(),
    Decimal: decimals,
    bytes: st.binary(),
    bytearray: st.binary().map(bytearray),
    Colour: st.sampled_from(Colour),
    Level: st.sampled_from(Level),
    Point: points,
    Order: orders,
    Row: rows,
    Pair: st.builds(Pair, st.integers(-(2**53), 2**53), st.timedeltas()),
    Model: st.builds(Model, id=st.uuids(), inner=st.lists(st.uuids()), at=moments),
    tuple[int, str]: st.tuples(st.integers(-(2**53), 2**53), st.text('aé☃"\\')),
    set[int]: st.sets(st.integers(-(2**53), 2**53)),
    frozenset[date]: st.frozensets(st.dates()),
    list[datetime]: st.lists(moments),
    dict[UUID, date]: st.dictionaries(st.uuids(), st.dates()),
    dict[int, list[Decimal]]: st.dictionaries(st.integers(0, 2**53), st.lists(decimals)),
    datetime | None: st.none() | moments,
    abc.Sequence[Colour]: st.lists(st.sampled_from(Colour)),
    list[Model | None]: st.lists(st.none() | st.builds(Model, id=st.uuids(), at=moments)),
}


def types_in(value: Any) -> Any:
    """The types of a value and of all that is in it."""
    if isinstance(value, dict):
        return type(value), [(types_in(key), types_in(each)) for key, each in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [types_in(each) for each in value]
    return type(value)


@pytest.mark.parametrize("hint", TYPES, ids=str)
@given(data=st.data())
def test_a_value_arrives_as_it_was_sent(hint: Any, data: Any) -> None:
    value = data.draw(TYPES[hint])
    job = of_type(hint)
    got.clear()
    raw = wire_of(job, value)
    (wire,) = json.loads(raw)["args"]
    assert json.loads(json.dumps(wire)) == wire
    perform_here(job.definition, "q", raw)
    assert got == [value]
    assert types_in(got[0]) == types_in(value)
    # By its name, and the JSON itself, as a command gives it: the wire is the same.
    named, _ = split(json.loads(wire_of(job, value=value))["args"])
    assert not named
    assert wire_of(job, wire) == raw


def test_at_least_twenty() -> None:
    assert len(TYPES) >= 20


# Where, and only where annotated


def test_each_parameter_by_its_own_annotation(client: gresque.Client) -> None:
    def mail(first: int, /, when: date, *more: UUID, plain: Any = None, **others: Decimal) -> None:
        got.append((first, when, more, plain, others))

    job, one = declare(mail), uuid4()
    day = date(2026, 11, 27)
    raw = wire_of(job, 1, day, one, plain="2026-01-01", price=Decimal("1.10"))
    assert json.loads(raw)["args"] == [
        1, "2026-11-27", str(one), {"plain": "2026-01-01", "price": "1.10", "_kwargs": True}
    ]  # fmt: skip
    perform_here(job.definition, "q", raw)
    assert got == [(1, day, (one,), "2026-01-01", {"price": Decimal("1.10")})]
    job = declare(mail)
    perform_here(job.definition, "q", wire_of(job, 1, when=day))
    assert got[1][:2] == (1, day)


@pytest.mark.parametrize(
    "hint",
    [
        "int", "str | None", "list[int]", "dict[str, Any]", "Hidden2 | int", int, list[str], "Any",
        "Literal['a']", "abc.Callable[[], int]", "abc.Iterable[datetime]", "object", "float",
        "datetime | str", "complex", dict[str, float],
    ],
)  # fmt: skip
def test_what_needs_nothing_pays_nothing(hint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not checked, as without an annotation."""
    monkeypatch.setitem(globals(), "Hidden2", int)

    def typed(value: Any) -> None:
        got.append(value)

    typed.__annotations__ = {"value": hint}  # names of this module
    job = declare(typed)
    raw = wire_of(job, "anything")
    assert job.definition.typed_args is None
    assert job.definition.call is job.definition.function
    perform_here(job.definition, "q", raw)
    assert got == ["anything"]


def test_unannotated_as_ever() -> None:
    job = declare(lambda when: None)
    with pytest.raises(
        UnserializableArgument, match=r"is a datetime\.date, which JSON cannot carry"
    ):
        wire_of(job, date(2026, 1, 1))


def test_names_are_resolved_at_the_first_use() -> None:
    def mail(user: Hidden) -> None: ...

    job = declare(mail)
    wrong = "job typed: the annotation of 'user', 'Hidden', cannot be used: name 'Hidden' is not "
    for _ in range(2):
        with pytest.raises(JobDeclarationError, match=wrong + "defined; import what it names out"):
            wire_of(job, 1)
    with pytest.raises(JobDeclarationError, match=wrong):
        perform_here(job.definition, "q", b'{"class":"typed","args":[1]}')


def test_a_decorated_function_and_a_class() -> None:
    import functools

    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return inner

    @logged
    def mail(when: date) -> None:
        got.append(when)

    class Mail(gresque.Job):
        queue, name = "q", "Mail"

        def perform(when: date) -> None:
            got.append(when)

        def before_perform_note(when: date) -> None:
            got.append(("before", when))

    day = date(2026, 1, 1)
    for job in (declare(mail), Mail):
        raw = wire_of(job, day)
        perform_here(job.definition, "q", raw)
    assert got == [day, ("before", day), day]


# What does not fit


@pytest.mark.parametrize(
    ("hint", "value", "wrong"),
    [
        (datetime, 7, "argument 'value' does not fit its annotation: Expected `datetime`, got"),
        (datetime, datetime(2026, 1, 1), "a datetime needs a time zone"),
        (list[datetime], [datetime(2026, 1, 1)], "a datetime needs a time zone"),
        (datetime, "2026-01-01T00:00:00", "a datetime needs a time zone"),
        (Order, Order(uuid4(), datetime(2026, 1, 1)), "a datetime needs a time zone"),
        (
            datetime,
            datetime(1900, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")),
            "the offset of a datetime has seconds, which are lost; give it in UTC",
        ),
        (Colour, "green", "Invalid enum value 'green'"),
        (list[Model], [{"id": "secret", "inner": [], "at": 0}], "id: Input should be a valid UUID"),
        (Annotated[int, msgspec.Meta(gt=0)], 0, "Expected `int` >= 1"),
    ],
)
def test_a_value_that_does_not_fit(hint: Any, value: Any, wrong: str) -> None:
    """At the enqueue; and in a worker, for what another program has pushed."""
    job = of_type(hint)
    with pytest.raises(WrongArguments, match=wrong) as found:
        wire_of(job, value)
    assert "secret" not in str(found.value)
    wire = msgspec.to_builtins(value)
    if isinstance(value, datetime) and value.tzinfo:
        return
    raw = json.dumps({"class": "typed", "args": [wire]}).encode()
    with pytest.raises(InvalidArguments, match=f"job typed: .*{wrong}"):
        perform_here(job.definition, "q", raw)
    assert got == []


def test_a_value_that_cannot_be_written() -> None:
    with pytest.raises(UnserializableArgument, match="typed: argument 'value' cannot be written"):
        wire_of(of_type(list[date]), [object()])


def test_a_failure_of_that_kind_is_final_and_its_hooks_get_the_wire() -> None:
    job = of_type(date, retries=5)

    @job.on_failure
    def note(error: Exception, value: Any) -> None:
        got.append((type(error), value))

    with pytest.raises(InvalidArguments):
        perform_here(job.definition, "q", b'{"class":"typed","args":[7]}')
    assert got == [(InvalidArguments, 7)]
    policy = job.definition.retry
    assert next_attempt(InvalidArguments(), policy, {}, 0, 0.0) is None
    assert next_attempt(ValueError(), policy, {}, 0, 0.0) is not None


def test_the_hooks_get_the_types(client: gresque.Client) -> None:
    def fails(value: date) -> None:
        raise LookupError

    job, day = declare(fails), date(2026, 1, 1)
    for kind in ("before_enqueue", "after_enqueue", "before_perform"):
        getattr(job, kind)(lambda value, kind=kind: got.append((kind, value)))
    job.on_failure(lambda error, value: got.append(("on_failure", value)))
    client.enqueue(job, "2026-01-01")  # as the command gives it
    assert got == [("before_enqueue", day), ("after_enqueue", day)]
    got.clear()
    with pytest.raises(LookupError):
        perform_here(job.definition, "q", wire_of(job, day))
    assert got[1:] == [("before_perform", day), ("on_failure", day)]


def test_in_a_worker_it_fails_at_once(open_bench: OpenBench) -> None:
    bench = open_bench()

    def mail(value: date) -> None:
        got.append(value)

    bench.add("mail", mail, retry=retry_policy("mail", retries=3))
    bench.run(a_job(1, "mail", "2026-01-01"), a_job(2, "mail", 7), a_job(3, "mail", value=8))
    assert got == [date(2026, 1, 1)]
    assert bench.counts == (1, 2, 0)
    assert {entry["exception"] for entry in bench.entries} == {"InvalidArguments"}
    assert "argument 'value' does not fit its annotation" in bench.entries[0]["error"]
    assert bench.put_off == []


# strict_types


def test_strict_types_want_an_annotation_for_every_parameter() -> None:
    with pytest.raises(JobDeclarationError, match="job typed: strict_types=True, and b, c without"):
        declare(lambda b, c: None, strict_types=True)
    with pytest.raises(JobDeclarationError, match="its parameters are not known"):
        declare(getattr, strict_types=True)
    with pytest.raises(JobDeclarationError, match="strict_types='yes' is unknown; give True or"):
        of_type(int, strict_types="yes")
    with pytest.raises(
        JobDeclarationError, match="strict_types, and the annotation of 'value' can"
    ):
        wire_of(of_type(complex, strict_types=True), 1)


def test_strict_types_check_plain_ones_too() -> None:
    job = of_type(Literal["a", "b"] | int, strict_types=True)
    perform_here(job.definition, "q", wire_of(job, "a"))
    with pytest.raises(WrongArguments):
        wire_of(job, "c")
    with pytest.raises(InvalidArguments):
        perform_here(job.definition, "q", b'{"class":"typed","args":["c"]}')
    assert got == ["a"]


def test_the_payload_of_a_typed_job_is_read_as_any(client: gresque.Client) -> None:
    raw = wire_of(of_type(Order), Order(UUID(int=7), datetime(2026, 1, 1, tzinfo=UTC)))
    (value,) = decode(raw).args or ()
    assert value == {
        "id": "00000000-0000-0000-0000-000000000007", "paid": "2026-01-01T00:00:00Z",
        "points": [], "parent": None,
    }  # fmt: skip
