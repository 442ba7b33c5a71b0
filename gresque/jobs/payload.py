"""The payload of a job: what a queue item holds, in Resque's format. Pure: bytes in, bytes out."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gresque.errors import InvalidPayload, PayloadTooLarge, UnserializableArgument
from gresque.jobs import activejob
from gresque.jobs.attempts import MOST_BYTES as MOST_ERROR_BYTES
from gresque.jobs.attempts import without_history
from gresque.jobs.conversions import remedy
from gresque.jobs.crash_history import MOST_BYTES as MOST_DEATH_BYTES
from gresque.jobs.filter_args import shown
from gresque.jobs.ids import JOB_IDS, as_text
from gresque.text import printable

MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
"""A queue item above this is refused by `enqueue`, and fails unread in a worker: one item must
not hold up the loop that thousands of other jobs share. Large data belongs in a file or a key of
its own, with its name as the argument."""

MAX_DEPTH = 90
"""How deep lists and objects may nest in an argument: Ruby's parser stops at 100 for the whole."""


INVALID = "gresque.InvalidPayload"
"""The class under which a failure entry keeps an item that is no job."""

KWARGS = "_kwargs"
"""The last key of the last object in `args`, with the value true: that object holds the keyword
arguments. So every program that retries, delays or moves a job hands them on."""


class Payload(msgspec.Struct, omit_defaults=True, gc=False):
    """One queue item, in the order in which the Ruby clients write its fields.

    `id` and `generation` are absent in items of stock Resque and may have any type elsewhere;
    what gresque adds stands in `gresque` (see `jobs.envelope`), `expires_at` (epoch seconds) is
    written only for jobs that expire. Keyword arguments stand in
    `args` (see `split`). Fields of other clients are ignored, but for `kwargs`: to ignore that one
    would run a job without its arguments.
    """

    name: str = msgspec.field(name="class")
    args: list[Any] | None = None
    id: Any = None
    generation: Any = None
    gresque: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    expires_at: Any = None
    kwargs: None = None


class Call(msgspec.Struct, gc=False):
    """What a worker needs of a queue item to run it; see `Payload`. As nothing that JSON can say
    leads back to it, the collector need not know it."""

    name: str = msgspec.field(name="class")
    args: list[Any] | None = None
    gresque: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    expires_at: Any = None
    kwargs: None = None


read_call = msgspec.json.Decoder(Call).decode
"""For an item of at most MAX_PAYLOAD_BYTES. Of one that raises `decode` says what is wrong."""

_decode = msgspec.json.Decoder(Payload).decode
_encode = msgspec.json.Encoder(enc_hook=as_text).encode


def decode(raw: bytes) -> Payload:
    """Read a queue item. Raises PayloadTooLarge, or InvalidPayload that says what is wrong."""
    if len(raw) > MAX_PAYLOAD_BYTES and (
        len(raw) > MAX_PAYLOAD_BYTES + MOST_DEATH_BYTES + MOST_ERROR_BYTES
        or len(without_history(raw)) > MAX_PAYLOAD_BYTES
    ):
        raise PayloadTooLarge(
            f"the payload has {len(raw):,} bytes, the limit is {MAX_PAYLOAD_BYTES:,}"
        )
    try:
        return _decode(raw)
    except UnicodeDecodeError as error:
        raise InvalidPayload(f"the payload is not UTF-8: {error}") from None
    except RecursionError:
        raise InvalidPayload("the payload is nested too deep") from None
    except msgspec.MsgspecError as error:
        surrogate = lone_surrogate(raw)
        reason = f"it has {surrogate}" if surrogate else str(error)
        if reason.endswith("`$.kwargs`"):
            reason = (
                "it has a field kwargs; keyword arguments stand in args, as a last object whose "
                f'last key is "{KWARGS}": true'
            )
        raise InvalidPayload(f"the payload is not a job: {reason}") from None


def split(args: Sequence[Any] | None) -> tuple[Sequence[Any], dict[str, Any]]:
    """The positional and the keyword arguments of a payload's `args`.

    Only the value true makes an object one of keywords; where its key stands does not matter, as
    some programs sort keys.
    """
    if not args:
        return (), {}
    last = args[-1]
    if type(last) is not dict or last.get(KWARGS) is not True:
        return args, {}
    return args[:-1], {name: value for name, value in last.items() if name != KWARGS}


_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


def lone_surrogate(raw: bytes) -> str:
    """Names the first half of a UTF-16 pair that stands alone in a JSON text, as JavaScript writes
    it where a text was cut within a character; empty when there is none."""
    high, end = b"", -1
    for escape in _ESCAPE.finditer(raw):
        digits = escape[1] or b""
        if high and (escape.start() != end or not b"DC" <= digits[:2].upper() <= b"DF"):
            break
        if high:
            high = b""
        elif b"D8" <= digits[:2].upper() <= b"DB":
            high, end = digits, escape.end()
        elif b"DC" <= digits[:2].upper() <= b"DF":
            high = digits
            break
    if not high:
        return ""
    return (
        f"a lone surrogate, \\u{high.decode()}, which is half a character and which UTF-8 cannot "
        "carry; the program that enqueues it must not cut a text there (JavaScript: "
        "text.toWellFormed())"
    )


def encode(
    name: str,
    args: Sequence[Any],
    kwargs: dict[str, Any] | None,
    job_id: str,
    generation: int = 1,
    envelope: Mapping[str, Any] | None = None,
    expires_at: float | None = None,
) -> bytes:
    """Write a queue item. `envelope` is what stands in its field `gresque`, if anything does.

    Raises UnserializableArgument naming the argument that JSON cannot carry, PayloadTooLarge.
    """
    for arg in args:
        if type(arg) not in _PLAIN:
            _check_positional(printable(name), args)
            break
    if kwargs:
        _check_keywords(printable(name), kwargs)
    sent: Any = [*args, {**kwargs, KWARGS: True}] if kwargs else args
    item = Payload(name, sent, job_id, generation)  # encodes in less time than a dict
    if envelope:
        item.gresque = msgspec.Raw(_encode(envelope))
    if expires_at is not None:
        item.expires_at = expires_at
    try:
        raw = _encode(item)
    except UnicodeEncodeError:
        raise UnserializableArgument(
            f"{printable(name)}: {_unencodable(args, kwargs)} has a lone surrogate, which UTF-8 "
            "cannot carry; decode it with errors='replace' first"
        ) from None
    except ValueError:
        raise UnserializableArgument(
            f"{printable(name)}: {_unencodable(args, kwargs)} has an int of more digits than "
            f"Python writes ({sys.get_int_max_str_digits():,}); pass it as a str of hex digits"
        ) from None
    if len(raw) > MAX_PAYLOAD_BYTES:
        raise PayloadTooLarge(
            f"{name}: the payload has {len(raw):,} bytes, the limit is {MAX_PAYLOAD_BYTES:,}; "
            "store the data elsewhere and enqueue its name"
        )
    return raw


_PLAIN = frozenset({str, *JOB_IDS, int, bool, type(None)})
_KEYS = frozenset({str, *JOB_IDS})


def _check_positional(job: str, args: Sequence[Any]) -> None:
    for position, arg in enumerate(args, start=1):
        _check(arg, f"{job}: argument {position}", 0)
    if type(args[-1]) is dict and KWARGS in args[-1]:
        raise UnserializableArgument(
            f"{job}: argument {len(args)} has the key {KWARGS!r}, which marks keyword arguments in "
            "a payload; rename the key"
        )


def _check_keywords(job: str, kwargs: dict[str, Any]) -> None:
    for name, value in kwargs.items():
        if type(name) is not str:
            raise UnserializableArgument(
                f"{job}: {name!r} is no name of an argument; names are str"
            )
        _check(value, f"{job}: argument {name!r}", 0)
    if KWARGS in kwargs:
        raise UnserializableArgument(
            f"{job}: {KWARGS!r} marks keyword arguments in a payload and cannot be the name of one"
            "; rename the argument"
        )


def check_value(value: Any, where: str) -> None:
    """Raise UnserializableArgument, naming `where`, for what JSON cannot carry."""
    _check(value, where, 0)
    if not _encodable(value):
        raise UnserializableArgument(f"{where} has a lone surrogate, or an int of too many digits")


def _check(value: Any, where: str, depth: int) -> None:
    """Refuse what would arrive changed: JSON encoders turn bytes, sets and NaN into something."""
    kind = type(value)
    if kind in _PLAIN:
        return
    if kind is float:
        if not math.isfinite(value):
            raise UnserializableArgument(
                f"{where} is {value!r}, which JSON cannot carry; pass None, or a str"
            )
    elif depth >= MAX_DEPTH:
        raise UnserializableArgument(f"{where} is nested over {MAX_DEPTH} deep")
    elif kind is list or kind is tuple:
        for index, item in enumerate(value):
            if type(item) not in _PLAIN:
                _check(item, f"{where}[{index}]" if depth < 5 else where, depth + 1)
    elif kind is dict:
        for key, item in value.items():
            if type(key) not in _KEYS:
                raise UnserializableArgument(
                    f"{where} has the key {key!r}; JSON objects take only str keys: "
                    "pass a list of pairs, or str(key)"
                )
            if type(item) not in _PLAIN:
                _check(item, f"{where}[{key!r}]" if depth < 5 else where, depth + 1)
    else:
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        name = f"{module}{kind.__qualname__}"
        raise UnserializableArgument(
            f"{where} is {'an' if name[0] in 'aeio' else 'a'} {name}, which JSON cannot carry; "
            f"{remedy(value)}"
        )


def encode_value(value: Any) -> bytes:
    """A value that `check_value` has checked, as JSON."""
    return _encode(value)


def _unencodable(args: Sequence[Any], kwargs: dict[str, Any] | None) -> str:
    for position, arg in enumerate(args, start=1):
        if not _encodable(arg):
            return f"argument {position}"
    for key, value in (kwargs or {}).items():
        if not _encodable(value) or not _encodable(key):
            return f"argument {key!r}"
    return "an argument"


def _encodable(value: Any) -> bool:
    try:
        _encode(value)
    except ValueError:
        return False
    return True


def loads(raw: bytes) -> dict[str, Any]:
    """A queue item as a dict, to be shown: `{"raw": text}` when it is no JSON object. Keyword
    arguments stand beside `args`, as `kwargs`; of ActiveJob's it shows the job that they wrap. See
    `filter_args` for what is left out."""
    return shown(activejob.shown(read(raw)))


def for_display(item: dict[str, Any]) -> dict[str, Any]:
    """As `loads`, of a payload that is decoded already."""
    return shown(activejob.shown(with_kwargs(item)))


def read(raw: bytes) -> dict[str, Any]:
    """As `loads`, with all arguments: for programs, and to edit them."""
    item = _parse(raw)
    if not isinstance(item, dict):
        return {"raw": raw.decode("utf-8", "backslashreplace")}
    return with_kwargs(item)


def with_kwargs(item: dict[str, Any]) -> dict[str, Any]:
    """A payload with its keyword arguments out of `args`, as `kwargs` behind them."""
    args = item.get("args")
    if not isinstance(args, list):
        return item
    positional, keywords = split(args)
    if len(positional) == len(args):
        return item
    found: dict[str, Any] = {}
    for name, value in item.items():
        found[name] = value
        if name == "args":
            found |= {"args": positional, "kwargs": keywords}
    return found


def class_of(raw: bytes) -> str | None:
    """The class to show of a queue item, if it names any: of ActiveJob's the one that it wraps. The
    rest of the item is passed over."""
    try:
        name = _decode_name(raw).name
        return name if name != activejob.WRAPPER else activejob.class_in(name, raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def id_of(raw: bytes) -> Any:
    """The id that a queue item names, of any type; None without one."""
    try:
        return _decode_id(raw).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def expiry_of(raw: bytes) -> float | None:
    """When a queue item is too late to run, in epoch seconds; None for never."""
    try:
        found = _decode_id(raw).expires_at
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return float(found) if isinstance(found, int | float) else None


class _Named(msgspec.Struct):
    name: str = msgspec.field(name="class")


class _Identified(msgspec.Struct):
    id: Any = None
    expires_at: Any = None


_decode_id = msgspec.json.Decoder(_Identified).decode
_decode_name = msgspec.json.Decoder(_Named).decode


def _parse(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
