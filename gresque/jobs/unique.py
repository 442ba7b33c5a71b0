"""Unique jobs: how a job is declared to be one, its key, and its mark in the envelope. Pure.

A unique job has a lock, `unique:<digest>` (docs/keys.md). `store/lua/enqueue_unique.lua` takes it
in the script that pushes the job, and the worker releases it (see `Mark`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import msgspec

from gresque.errors import EnqueueError, GresqueError
from gresque.jobs import payload
from gresque.jobs.envelope import UNREADABLE, Members, member, members_of
from gresque.jobs.ids import as_text
from gresque.jobs.result import check_function
from gresque.jobs.retry_policy import Seconds
from gresque.seconds import seconds_of
from gresque.text import is_utf8, printable

if TYPE_CHECKING:
    from gresque.jobs.definition import JobDefinition

UNIQUE = "unique"
"""The member of the envelope."""
UNIQUE_IN_BYTES = b'"unique"'
"""A payload without these bytes has no mark."""

MODES = ("queued", "running", "both")
"""How long a job holds its lock: from its enqueue until it starts (`queued`), while it runs
(`running`), or from its enqueue to its end (`both`)."""
THROTTLE = "throttle"
"""The mode of a lock that no job releases: it expires at the end of its time."""
ON_DUPLICATE = ("drop", "replace", "again", "raise")

TTL_SECONDS = 86_400.0
LONGEST_WAIT_SECONDS = 3_600.0
"""The longest time for which a debounced job without `max_wait` is put off."""
LONGEST_SECONDS = 10 * 366 * 86_400.0
KEY_SHOWN = 200
"""The lock keeps this many characters of its key, for people to read."""

_REPLACE = "replace"


class UniqueOptions(TypedDict, total=False):
    """Options about duplicates, for a declaration or for single calls. See `gresque.job`."""

    unique: str | None
    unique_key: Callable[..., Any] | None
    on_duplicate: str | None
    unique_ttl_seconds: Seconds | None
    debounce: Seconds | None
    max_wait: Seconds | None
    throttle: Seconds | None
    trailing: bool


@dataclass(frozen=True)
class UniqueRule:
    """What becomes of a job that is enqueued while another one with its key holds the lock."""

    mode: str
    on_duplicate: str = "drop"
    make_key: Callable[..., Any] | None = None
    ttl_ms: int = int(TTL_SECONDS * 1000)
    """The lock expires this time after the job was due, if no job has released it."""
    debounce_ms: int = 0
    max_wait_ms: int = 0
    throttle_ms: int = 0
    trailing: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The options as they were given."""

    @property
    def replaces(self) -> bool:
        """A later enqueue may change the arguments of a job that waits."""
        return self.on_duplicate == _REPLACE

    @property
    def locks(self) -> bool:
        """The lock is taken when the job is enqueued. In mode `running` the worker takes it."""
        return self.mode != "running"

    def mark(self, digest: str) -> list[str] | None:
        """The member of the envelope; None for a job whose end releases no lock."""
        if self.mode == THROTTLE:
            return None
        return [digest, self.mode, _REPLACE] if self.replaces else [digest, self.mode]


class Mark(NamedTuple):
    """What the envelope of a job says about its lock."""

    digest: str
    mode: str
    replaced: bool
    """The lock may hold another payload for the job, which takes it when it starts."""


def mark_of(members: Members) -> Mark | None:
    """The mark of a job, from its envelope; None for a job without a lock."""
    return _mark(member(members, UNIQUE, list))


class _Envelope(msgspec.Struct):
    unique: list[str]


class _Marked(msgspec.Struct):
    gresque: _Envelope


_marked = msgspec.json.Decoder(_Marked).decode


def mark_in(raw: bytes) -> Mark | None:
    """The mark of a payload; None without one."""
    if UNIQUE_IN_BYTES not in raw:
        return None
    try:
        return _mark(_marked(raw).gresque.unique)  # in half the time of what follows
    except UNREADABLE:
        return mark_of(members_of(raw))


def _mark(found: list[Any] | None) -> Mark | None:
    if not found or len(found) < 2 or found[1] not in MODES or not isinstance(found[0], str):
        return None
    return Mark(found[0], found[1], _REPLACE in found[2:])


class Key(NamedTuple):
    """The key of a job. Jobs with the same digest exclude each other."""

    text: str
    digest: str


def key_of(
    rule: UniqueRule, definition: JobDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Key:
    """The key of a call. Raises EnqueueError for a value that cannot be a key, and when
    `unique_key` raises."""
    name = definition.name
    typed: tuple[Sequence[Any], Mapping[str, Any]] = args, kwargs
    if definition.typed_args is not None:
        wire = definition.typed_args.write(args, kwargs)
        args, kwargs, typed = wire.args, wire.kwargs, (wire.typed_args, wire.typed_kwargs)
    if rule.make_key is None:
        try:
            value = definition.call_of(args, kwargs).decode()
        except (TypeError, ValueError, RecursionError):
            payload.encode(name, args, dict(kwargs), "")  # names the argument that is wrong
            raise
    else:
        value = _text_of(rule.make_key, name, *typed)
    space = THROTTLE if rule.mode == THROTTLE else ""
    digest = sha256(f"{space}\0{name}\0{value}".encode()).hexdigest()[:32]
    return Key(f"{name} {value}"[:KEY_SHOWN], digest)


def _text_of(
    make_key: Callable[..., Any], name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> str:
    try:
        value = make_key(*args, **kwargs)
    except Exception as error:
        raise EnqueueError(
            f"job {name}: its unique_key raised {type(error).__name__}: {printable(error)}"
        ) from error
    kind = type(value)
    if issubclass(kind, str) and value and is_utf8(value):
        return str.__str__(value)  # for an Enum the text, not the name
    if kind is int or (kind is float and math.isfinite(value)):
        return str(value)
    if kind in (list, tuple) and value:
        try:
            return msgspec.json.encode(value, enc_hook=as_text, order="sorted").decode()
        except (TypeError, ValueError, RecursionError):
            pass
    shown = repr(value)
    raise EnqueueError(
        f"job {name}: its unique_key gave {shown if len(shown) <= 100 else shown[:99] + '…'}; "
        "a key is a text that is not empty, a number, or a list of such"
    )


def unique_rule(
    job: str,
    options: Mapping[str, Any],
    declared: UniqueRule | None = None,
    error: type[GresqueError] = EnqueueError,
) -> UniqueRule | None:
    """The rule that these options make; None where there are none. The options of a call override
    the `declared` ones. Raises `error` for options that are unknown or contradict each other."""
    given = {
        name: value
        for name, value in options.items()
        if value is not None and not (name == "trailing" and value is False)
    }
    if declared is not None:
        before = dict(declared.options)
        if "debounce" in given:  # debounce itself says what happens to a duplicate
            before.pop("on_duplicate", None)
        given = before | given
    if not given:
        return None
    try:
        return _made(given)
    except _WrongOption as wrong:
        raise error(f"job {job}: {wrong}") from None


class _WrongOption(Exception):
    """Its text says what to write instead."""


def _made(given: Mapping[str, Any]) -> UniqueRule:
    mode, on_duplicate = given.get("unique"), given.get("on_duplicate")
    _one_of("unique", mode, MODES)
    _one_of("on_duplicate", on_duplicate, ON_DUPLICATE)
    debounce, throttle = _milliseconds(given, "debounce"), _milliseconds(given, "throttle")
    max_wait, ttl = _milliseconds(given, "max_wait"), _milliseconds(given, "unique_ttl_seconds")
    _check_together(given, mode, debounce, max_wait)
    if given.get("trailing", True) is not True:
        raise _WrongOption(f"trailing={given['trailing']!r} is unknown; give True or False")
    make_key = given.get("unique_key")
    if make_key is not None:
        _check_key_function(make_key)
    if throttle:
        mode = THROTTLE
    if debounce:
        on_duplicate = _REPLACE
    return UniqueRule(
        mode or "queued",
        on_duplicate or "drop",
        make_key,
        ttl or int(TTL_SECONDS * 1000),
        debounce,
        (max_wait or int(LONGEST_WAIT_SECONDS * 1000)) if debounce else 0,
        throttle,
        "trailing" in given,
        given,
    )


def _check_together(
    given: Mapping[str, Any], mode: str | None, debounce: int, max_wait: int
) -> None:
    """Options that need or exclude each other."""
    if "throttle" in given:
        for other in ("debounce", "unique", "on_duplicate", "unique_ttl_seconds"):
            if other in given:
                raise _WrongOption(f"throttle and {other} exclude each other; give one of them")
    elif "trailing" in given:
        raise _WrongOption("trailing belongs to throttle; give throttle=seconds too")
    if "debounce" in given:
        if mode == "running":
            raise _WrongOption(
                "debounce needs a lock while the job waits, and unique='running' has none; give "
                "unique='queued' or 'both'"
            )
        if "on_duplicate" in given:
            raise _WrongOption(
                "debounce and on_duplicate exclude each other: a debounced job is put off, and the "
                "latest arguments count"
            )
        if max_wait and max_wait <= debounce:
            raise _WrongOption(
                f"max_wait={given['max_wait']!r} is not above debounce={given['debounce']!r}; it "
                "is the longest time for which further triggers put the job off"
            )
        if not max_wait and debounce >= LONGEST_WAIT_SECONDS * 1000:
            raise _WrongOption(
                f"debounce={given['debounce']!r} is an hour or more; give max_wait, which is an "
                "hour where it is left out"
            )
    elif "max_wait" in given:
        raise _WrongOption("max_wait belongs to debounce; give debounce=seconds too")
    if mode == "running" and "on_duplicate" in given:
        raise _WrongOption(
            "on_duplicate has no meaning with unique='running', which enqueues every job; give "
            "unique='both', or leave it out"
        )
    if mode is None and "debounce" not in given:
        for option in ("on_duplicate", "unique_ttl_seconds", "unique_key"):
            if option in given and not (option == "unique_key" and "throttle" in given):
                raise _WrongOption(f"{option} needs unique='queued', 'running' or 'both' beside it")


def _one_of(option: str, value: Any, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        *first, last = (repr(each) for each in known)
        raise _WrongOption(f"{option}={value!r} is unknown; give {', '.join(first)} or {last}")


def _milliseconds(given: Mapping[str, Any], option: str) -> int:
    """0 where it is not given."""
    if option not in given:
        return 0
    seconds = seconds_of(given[option])
    if seconds is None or not 0.001 <= seconds <= LONGEST_SECONDS:
        raise _WrongOption(
            f"{option}={given[option]!r} is no time; give a number of seconds above 0, ten years "
            "at most"
        )
    return math.ceil(round(seconds * 1000, 3))


def _check_key_function(make_key: Any) -> None:
    if not callable(make_key):
        raise _WrongOption(
            f"unique_key={make_key!r} cannot be called; give a function of the arguments, such as "
            "lambda site, **_: site"
        )
    try:
        check_function("unique_key", make_key)
    except GresqueError as error:
        raise _WrongOption(str(error)) from None
