"""What is said of an argument that JSON cannot carry works when it is done."""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import pathlib
import uuid
from typing import Any, NamedTuple

import msgspec
import pytest

from gresque.errors import UnserializableArgument
from gresque.jobs import payload
from gresque.jobs.conversions import BY_TYPE, Conversion, conversion, remedy


class Colour(enum.Enum):
    RED = "red"


class Named(str, enum.Enum):  # noqa: UP042  # of programs from before Python 3.11
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Address:
    street: str


class Record(msgspec.Struct):
    name: str


class Text(str):
    def __str__(self) -> str:
        return self


VALUES: list[Any] = [
    datetime.datetime(2026, 11, 26, 21, 4, tzinfo=datetime.UTC),
    datetime.date(2026, 11, 26),
    datetime.time(21, 4),
    datetime.timedelta(hours=1),
    uuid.UUID(int=7),
    decimal.Decimal("1.10"),
    fractions.Fraction(1, 3),
    1 + 2j,
    b"text",
    b"\xff\x00",
    bytearray(b"\xff"),
    {1},
    frozenset({1}),
    collections.deque([1]),
    pathlib.Path("/tmp"),
    Colour.RED,
    Named.RED,
    Number.ONE,
    Point(1, 2),
    Address("x"),
    Record("x"),
]
READING = {
    name: module
    for module in (base64, collections, datetime, decimal, fractions, msgspec, pathlib, uuid)
    for name in [module.__name__]
} | {"Colour": Colour, "Named": Named, "Number": Number, "Point": Point} | {
    "Address": Address, "Record": Record, "dataclasses": dataclasses,
}  # fmt: skip


def arrived(value: Any, how: Conversion) -> Any:
    """What the job gets when the value is passed so."""
    passed = eval(how.write, READING | {"x": value})
    args = json.loads(payload.encode("x", [passed], {}, ""))["args"]
    return args[0]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__qualname__)
def test_it_is_passed_and_read_as_the_message_says(value: Any) -> None:
    how = conversion(value)
    assert how is not None
    x = arrived(value, how)
    assert eval(how.read, READING | {"x": x}) == value
    with pytest.raises(UnserializableArgument) as raised:
        payload.encode("x", [value], {}, "")
    assert str(raised.value).endswith(
        f"which JSON cannot carry; pass {how.write}, and read it in the job with {how.read}"
    )


ONLY_PASSED: list[Any] = [
    range(2), (x for x in [1]), map(int, "1"), {1: 2}.keys(), {1: 2}.values(), {1: 2}.items(),
    Text("x"), collections.OrderedDict(a=1), collections.Counter("a"),
    type("Own", (int,), {})(1), type("Own", (float,), {})(1), type("Own", (list,), {})([1]),
    type("Own", (tuple,), {})([1]),
]  # fmt: skip


@pytest.mark.parametrize("value", ONLY_PASSED, ids=range(len(ONLY_PASSED)))
def test_what_need_not_be_read(value: Any) -> None:
    how = conversion(value)
    assert how is not None
    assert how.read == ""
    arrived(value, how)


class Model:
    _meta = "of Django"


class Mapped:
    __mapper__ = "of SQLAlchemy"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "pass str, int, float, bool, None, list or dict"),
        (print, "pass str, int, float, bool, None, list or dict"),
        (
            Model(),
            "pass its primary key, x.pk, and read it in the job with Model.objects.get(pk=x)",
        ),
        (
            Mapped(),
            "pass its primary key, and read it in the job with session.get(Mapped, x)",
        ),
    ],
    ids=range(4),
)
def test_what_is_said(value: Any, said: str) -> None:
    assert remedy(value) == said


@pytest.mark.parametrize("name", ["numpy.generic", "numpy.ndarray", "pydantic.main.BaseModel"])
def test_a_library_that_is_not_installed_is_known_by_its_name(name: str) -> None:
    module, _, kind = name.rpartition(".")
    base = type(kind, (), {"__module__": module})
    assert remedy(type("Own", (base,), {})()).startswith(f"pass {BY_TYPE[name].write}")
