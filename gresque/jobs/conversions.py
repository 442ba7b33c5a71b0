"""How a value that JSON cannot carry is written as an argument, and read in the job. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple


class Conversion(NamedTuple):
    """Expressions of Python: of `x`, the value, and of `x`, what arrives in the job."""

    write: str
    read: str = ""

    def __str__(self) -> str:
        reading = f", and read it in the job with {self.read}" if self.read else ""
        return f"pass {self.write}{reading}"


AS_TEXT = Conversion("x.decode()", "x.encode()")
AS_BASE64 = Conversion("base64.b64encode(x).decode()", "base64.b64decode(x)")

BY_TYPE = {
    "datetime.datetime": Conversion("x.isoformat()", "datetime.datetime.fromisoformat(x)"),
    "datetime.date": Conversion("x.isoformat()", "datetime.date.fromisoformat(x)"),
    "datetime.time": Conversion("x.isoformat()", "datetime.time.fromisoformat(x)"),
    "datetime.timedelta": Conversion("x.total_seconds()", "datetime.timedelta(seconds=x)"),
    "uuid.UUID": Conversion("str(x)", "uuid.UUID(x)"),
    "decimal.Decimal": Conversion("str(x)", "decimal.Decimal(x)"),
    "fractions.Fraction": Conversion("str(x)", "fractions.Fraction(x)"),
    "builtins.complex": Conversion("[x.real, x.imag]", "complex(*x)"),
    "builtins.bytes": AS_BASE64,
    "builtins.bytearray": AS_BASE64,
    "builtins.set": Conversion("list(x)", "set(x)"),
    "builtins.frozenset": Conversion("list(x)", "frozenset(x)"),
    "builtins.range": Conversion("list(x)"),
    "builtins.generator": Conversion("list(x)"),
    "builtins.map": Conversion("list(x)"),
    "builtins.filter": Conversion("list(x)"),
    "builtins.zip": Conversion("list(x)"),
    "builtins.dict_keys": Conversion("list(x)"),
    "builtins.dict_values": Conversion("list(x)"),
    "builtins.dict_items": Conversion("list(x)"),
    "collections.deque": Conversion("list(x)", "collections.deque(x)"),
    "pathlib.PurePath": Conversion("str(x)", "pathlib.Path(x)"),
    "pathlib._local.PurePath": Conversion("str(x)", "pathlib.Path(x)"),  # Python 3.13
    "msgspec.Struct": Conversion("msgspec.to_builtins(x)", "msgspec.convert(x, {type})"),
    "pydantic.main.BaseModel": Conversion("x.model_dump(mode='json')", "{type}.model_validate(x)"),
    "numpy.generic": Conversion("x.item()"),
    "numpy.ndarray": Conversion("x.tolist()", "numpy.array(x)"),
    # Classes that are derived from these. str(x) is not enough where a class has its own.
    "builtins.str": Conversion("''.join(x)"),
    "builtins.int": Conversion("int(x)"),
    "builtins.float": Conversion("float(x)"),
    "builtins.dict": Conversion("dict(x)"),
    "builtins.list": Conversion("list(x)"),
    "builtins.tuple": Conversion("list(x)"),
}
"""By the name of the type, or of the first of its bases that is here: none needs to be imported."""

BY_ATTRIBUTE = {
    "__members__": Conversion("x.value", "{type}(x)"),  # enum, also one that is a str
    "_asdict": Conversion("list(x)", "{type}(*x)"),  # a named tuple
    "__dataclass_fields__": Conversion("dataclasses.asdict(x)", "{type}(**x)"),
    # Models of Django and of SQLAlchemy: the row may change before the job runs.
    "_meta": Conversion("its primary key, x.pk", "{type}.objects.get(pk=x)"),
    "__mapper__": Conversion("its primary key", "session.get({type}, x)"),
}

PLAIN = "pass str, int, float, bool, None, list or dict"


def remedy(value: Any) -> str:
    """`pass x.isoformat(), and read it in the job with …`."""
    found = conversion(value)
    return PLAIN if found is None else f"{found}"


def conversion(value: Any) -> Conversion | None:
    kind = type(value)
    found = next((BY_ATTRIBUTE[name] for name in BY_ATTRIBUTE if hasattr(kind, name)), None)
    for base in kind.__mro__:
        found = found or BY_TYPE.get(f"{base.__module__}.{base.__qualname__}")
    if found is AS_BASE64 and _is_text(value):
        found = AS_TEXT
    if found is None:
        return None
    return Conversion(found.write, found.read.replace("{type}", kind.__qualname__))


def _is_text(value: bytes) -> bool:
    try:
        return value.decode().isprintable()
    except UnicodeDecodeError:
        return False
