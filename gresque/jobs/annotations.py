"""What one annotation says of the values of an argument: how they are written as JSON, and read."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache, partial
from typing import Any

import msgspec
import msgspec.inspect as types

from gresque.jobs.ids import as_text


class Converter:
    """Writes and reads the values of one annotation."""

    __slots__ = ("_convert", "_has_datetime", "_to_builtins")

    def __init__(self, hint: Any, facts: _Facts) -> None:
        self._has_datetime = facts.has_datetime
        keys: Any = {"str_keys": True} if facts.has_other_keys else {}
        reading: Any = {**keys, "dec_hook": _read_other} if facts.has_other else keys
        writing: Any = {**keys, "order": "deterministic"} if facts.has_set else keys
        # Each option that is left out saves a tenth of the time.
        convert: Callable[..., Any] = msgspec.convert
        to_builtins: Callable[..., Any] = msgspec.to_builtins
        self._convert = partial(convert, type=hint, **reading)
        self._to_builtins = partial(to_builtins, enc_hook=_write_other, **writing)

    def write(self, value: Any) -> tuple[Any, Any]:
        """The JSON of a value, and what the job reads in it. The JSON itself passes, too: a command
        and a schedule entry give that. Raises ValidationError, and TypeError or
        ValueError for what cannot be written."""
        if self._has_datetime:
            _check_datetimes(value)
        wire = self._to_builtins(value)
        typed = self.read(wire)
        kind = type(value)
        if kind in _MAY_BE_WIRE:
            wire = self._to_builtins(typed)  # in one spelling, as it may be part of a key
        elif kind is not type(typed):
            _check_fields(kind, type(typed))
        return wire, typed

    def read(self, wire: Any) -> Any:
        """Raises ValidationError."""
        typed = self._convert(wire)
        if self._has_datetime:
            _check_datetimes(typed)
        return typed


_MAY_BE_WIRE = frozenset({str, int, float, list, dict})


def _check_fields(kind: type, read_as: type) -> None:
    """Raise ValidationError for a subclass whose further fields the job would not get."""
    if issubclass(kind, read_as) and (more := _fields_of(kind) - _fields_of(read_as)):
        raise msgspec.ValidationError(
            f"a {kind.__name__} would arrive as a {read_as.__name__}, without "
            f"{', '.join(sorted(more))}; annotate the parameter with {kind.__name__}"
        )


def _fields_of(kind: Any) -> set[str]:
    found = getattr(kind, "__struct_fields__", ()) or getattr(kind, "__dataclass_fields__", ())
    found = found or [each.name for each in getattr(kind, "__attrs_attrs__", ())]
    return {*found, *getattr(kind, "model_fields", ())}


def _write_other(value: Any) -> Any:
    if _is_pydantic(type(value)):
        return _dumped(value)
    # Subclasses, such as those of freezegun and pendulum; msgspec writes the types themselves.
    if isinstance(value, datetime):
        text = value.isoformat()
        return f"{text[:-6]}Z" if text.endswith("+00:00") else text
    return value.isoformat() if isinstance(value, date) else as_text(value)


_STARS = "**********"


def _dumped(model: Any) -> Any:
    """The JSON of a model. Raises ValueError for a secret, in whose place it has stars."""
    found = model.model_dump(mode="json")
    if _STARS in str(found) and _has_secret(model.model_dump()):
        raise ValueError(
            "a secret of the model would arrive as stars; write it by a field_serializer, or give "
            "the job the name of where it is kept"
        )
    return found


def _has_secret(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_secret, [*value, *value.values()]))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_has_secret, value))
    return hasattr(value, "get_secret_value")


@lru_cache(maxsize=256)
def _validation(kind: Any) -> tuple[Any, dict[str, bool]]:
    """What reads a model, and how: `model_dump` has written its fields by their names, which may
    have aliases. Versions before 2.11 take aliases alone."""
    named = "by_name" in inspect.signature(kind.model_validate).parameters
    return kind.model_validate, {"by_name": True, "by_alias": True} if named else {}


def _read_other(kind: Any, value: Any) -> Any:
    validate, how = _validation(kind)
    try:
        return validate(value, **how)
    except ValueError as error:
        errors: Any = getattr(error, "errors", None)
        if errors is None:
            raise
        # Its text has the values, which may be secret.
        found = errors(include_url=False, include_context=False, include_input=False)
        parts = (": ".join([*_place(each["loc"]), each["msg"]]) for each in found)
        raise ValueError("; ".join(parts)) from None


def _place(path: Iterable[Any]) -> list[str]:
    """Of an error; empty for the value itself."""
    text = ".".join(map(str, path))
    return [text] if text else []


def _is_pydantic(kind: type) -> bool:
    """By name: nothing of it is imported here."""
    bases = getattr(kind, "__mro__", ())
    return any((base.__module__, base.__name__) == ("pydantic.main", "BaseModel") for base in bases)


def _check_datetimes(value: Any) -> None:
    """Raise ValidationError for a datetime anywhere in this value that would not arrive as it
    is."""
    if isinstance(value, datetime):
        offset = value.utcoffset()
        if offset is None:
            raise msgspec.ValidationError("a datetime needs a time zone")
        if offset.seconds % 60 or offset.microseconds:
            raise msgspec.ValidationError(
                "the offset of a datetime has seconds, which are lost; give it in UTC"
            )
        return
    for each in _contents(value):
        _check_datetimes(each)


def _contents(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [*value, *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if isinstance(value, msgspec.Struct):
        names: Iterable[str] = value.__struct_fields__
    elif dataclasses.is_dataclass(value):
        names = [each.name for each in dataclasses.fields(value)]
    else:
        names = [each.name for each in getattr(type(value), "__attrs_attrs__", ())]
    return [getattr(value, name, None) for name in names]


# What an annotation needs


class _Unsupported(Exception):
    """Nothing here can convert a type."""


class _Facts:
    """What there is in an annotation."""

    def __init__(self, info: types.Type) -> None:
        self.needed = False
        """JSON lacks one of the types."""
        self.has_datetime = False
        self.has_set = False
        self.has_other_keys = False
        """Keys of objects that are not text."""
        self.has_other = False
        """Models of pydantic."""
        self._seen: set[int] = set()
        self._look(info)

    def _look(self, info: types.Type) -> None:
        if id(info) in self._seen:  # a type that contains itself
            return
        self._seen.add(id(info))
        if isinstance(info, types.CustomType) and not _is_pydantic(info.cls):
            raise _Unsupported(f"no type {info.cls!r} is known")
        self.has_other |= isinstance(info, types.CustomType)
        self.has_datetime |= isinstance(info, types.DateTimeType)
        self.has_set |= isinstance(info, types.SetType | types.FrozenSetType)
        self.needed |= not isinstance(info, _AS_IN_JSON) or _is_limited(info)
        if isinstance(info, types.DictType):
            self.has_other_keys |= not isinstance(info.key_type, types.StrType | types.AnyType)
            self.needed |= self.has_other_keys
        for part in _parts(info):
            self._look(part)


_AS_IN_JSON = (
    types.AnyType, types.NoneType, types.BoolType, types.IntType, types.FloatType, types.StrType,
    types.ListType, types.DictType, types.UnionType, types.LiteralType, types.Metadata,
)  # fmt: skip


def _is_limited(info: types.Type) -> bool:
    """It has a bound, as `Annotated[int, msgspec.Meta(gt=0)]`."""
    if isinstance(info, types.LiteralType | types.AnyType | types.NoneType | types.BoolType):
        return False
    limits = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")
    return any(getattr(info, name, None) is not None for name in limits)


def _parts(info: Any) -> list[types.Type]:
    found = [getattr(info, name, None) for name in ("type", "item_type", "key_type", "value_type")]
    for name in ("types", "item_types"):
        found.extend(getattr(info, name, ()))
    found.extend(each.type for each in getattr(info, "fields", ()))
    return [each for each in found if isinstance(each, types.Type)]


def converter_of(hint: Any, *, strict: bool) -> Converter | None:
    """None for an annotation that needs none, or of which nothing is known. With `strict` all are
    checked; raises TypeError for one that cannot be."""
    try:
        facts = _Facts(types.type_info(hint))
        msgspec.json.Decoder(hint)  # as to a union, which may have two types of one spelling
    except (TypeError, ValueError, RecursionError, _Unsupported) as error:
        if strict:
            raise TypeError(str(error)) from None
        return None
    return Converter(hint, facts) if facts.needed or strict else None
