"""Typed arguments that would not arrive as they were: each is kept whole, or refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest

import gresque
import gresque.testing
from gresque.errors import UnserializableArgument, WrongArguments

pydantic = pytest.importorskip("pydantic")

pytestmark = pytest.mark.usefixtures("own_registry")

got: list[Any] = []


class Aliased(pydantic.BaseModel):  # type: ignore[misc,name-defined]
    due: date = pydantic.Field(alias="dueDate")
    price: Decimal = pydantic.Field(validation_alias="cost", serialization_alias="amount")


class Secret(pydantic.BaseModel):  # type: ignore[misc,name-defined]
    user: str
    keys: tuple[pydantic.SecretStr, ...] = ()  # type: ignore[name-defined]


class Shown(pydantic.BaseModel):  # type: ignore[misc,name-defined]
    key: pydantic.SecretStr  # type: ignore[name-defined]

    @pydantic.field_serializer("key", when_used="json")  # type: ignore[untyped-decorator]
    def _show(self, key: Any) -> str:
        return str(key.get_secret_value())


@dataclass
class Parcel:
    due: date


@dataclass
class Urgent(Parcel):
    until: time


@dataclass
class Other(Parcel):
    """Of the same fields."""


class ParcelModel(pydantic.BaseModel):  # type: ignore[misc,name-defined]
    due: date


class UrgentModel(ParcelModel):
    until: time


class ParcelStruct(msgspec.Struct):
    due: date


class UrgentStruct(ParcelStruct):
    until: time


class Stopped(datetime):
    """As those of freezegun."""


class StoppedDate(date):
    pass


def _run(annotation: Any, value: Any) -> tuple[Any, Any]:
    """A value as it travels, and as the job gets it."""

    def job(value: Any) -> None:
        got.append(value)

    job.__annotations__ = {"value": annotation}
    declared_job = gresque.job("q", name="job")(job)
    with gresque.testing.fake() as jobs:
        declared_job.enqueue(value)
        (wire,) = jobs.only().args
        jobs.drain()
    return wire, got[-1]


def test_models_arrive_whatever_their_aliases() -> None:
    value = Aliased(dueDate=date(2027, 1, 1), cost="9.90")
    wire, arrived = _run(Aliased, value)
    assert wire == {"due": "2027-01-01", "price": "9.90"}
    assert arrived == value
    assert _run(Aliased, {"dueDate": "2027-01-01", "cost": "9.90"})[1] == value


def test_secrets_do_not_travel_as_stars() -> None:
    with pytest.raises(UnserializableArgument, match="a secret of the model would arrive as stars"):
        _run(Secret, Secret(user="ada", keys=("hush",)))
    assert _run(Secret, Secret(user="*" * 10))[1].user == "*" * 10
    assert _run(Shown, Shown(key="hush"))[1].key.get_secret_value() == "hush"


@pytest.mark.parametrize(
    "annotation, value",
    [
        (Parcel, Urgent(date(2027, 1, 1), time(12))),
        (ParcelModel, UrgentModel(due=date(2027, 1, 1), until=time(12))),
        (ParcelStruct, UrgentStruct(date(2027, 1, 1), time(12))),
    ],
)
def test_a_subclass_does_not_lose_its_fields(annotation: Any, value: Any) -> None:
    with pytest.raises(
        WrongArguments, match=r"would arrive as a Parcel.*, without until; annotate"
    ):
        _run(annotation, value)
    assert _run(type(value), value)[1] == value


def test_a_subclass_of_the_same_fields_passes() -> None:
    assert _run(Parcel, Other(date(2027, 1, 1)))[1] == Parcel(date(2027, 1, 1))


@pytest.mark.parametrize(
    "value, wire",
    [
        (Stopped(2027, 1, 1, 12, tzinfo=UTC), "2027-01-01T12:00:00Z"),
        (Stopped(2027, 1, 1, 12, 0, 0, 5, UTC), "2027-01-01T12:00:00.000005Z"),
        (
            Stopped(2027, 1, 1, 12, tzinfo=timezone(timedelta(hours=1))),
            "2027-01-01T12:00:00+01:00",
        ),
    ],
)
def test_a_subclass_of_datetime_is_written_as_one(value: datetime, wire: str) -> None:
    assert _run(datetime, value) == (wire, value)
    assert type(got[-1]) is datetime
    with pytest.raises(WrongArguments, match="a datetime needs a time zone"):
        _run(datetime, value.replace(tzinfo=None))


def test_a_subclass_of_date_is_written_as_one() -> None:
    assert _run(list[date], [StoppedDate(2027, 1, 1)]) == (["2027-01-01"], [date(2027, 1, 1)])


def test_an_error_of_the_model_itself_names_no_place() -> None:
    with pytest.raises(WrongArguments, match="does not fit its annotation: Input should be"):
        _run(ParcelModel, 5)
