"""Which failed jobs are meant: by class, exception, queue, frame, and text in the error. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from gresque.failure.well_formed import well_formed
from gresque.jobs import payload
from gresque.jobs.activejob import WRAPPER, class_in_entry
from gresque.raised import own_frame


class Item(msgspec.Struct):
    """The class of the job that failed."""

    name: str | None = msgspec.field(name="class", default=None)


class Glance(msgspec.Struct):
    """The fields by which entries are searched. Of a million entries nearly all are only glanced
    at: to read one whole takes several times as long."""

    payload: Item | None = None
    exception: str | None = None
    error: str | None = None
    queue: str | None = None
    failed_at: str | None = None
    retried_at: str | None = None
    backtrace: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def frame(self) -> str | None:
        """The innermost frame of the user's own code."""
        return frame_of(bytes(self.backtrace))

    @property
    def job_class(self) -> str | None:
        return self.payload.name if self.payload else None


_decode = msgspec.json.Decoder(Glance).decode


def glance(raw: bytes) -> Glance:
    """Read these fields of an item, an entry or not. Never raises."""
    try:
        found = _decode(raw)
        item = found.payload
        if item is not None and item.name == WRAPPER:
            item.name = class_in_entry(item.name, raw)
        return found
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        entry = payload.loads(well_formed(raw))  # rare
    shown = entry.get("payload")
    shown = payload.for_display(shown) if isinstance(shown, dict) else {}
    return Glance(
        payload=Item(_text(shown.get("class"))) if shown else None,
        backtrace=msgspec.Raw(msgspec.json.encode(entry.get("backtrace"))),
        **{
            name: _text(entry.get(name))
            for name in ("exception", "error", "queue", "failed_at", "retried_at")
        },
    )


_lines = msgspec.json.Decoder(list[str]).decode
FRAME_CHARS = 300


def frame_of(backtrace: bytes) -> str | None:
    """The innermost frame of the user's own code, of a backtrace as JSON; None without one. It is
    cut at FRAME_CHARS."""
    try:
        return own_frame(_lines(backtrace))[:FRAME_CHARS] or None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _text(value: Any) -> str | None:
    return None if value is None or value is False else str(value)


class Group(NamedTuple):
    """Failures of one class, with one exception, from one queue; None where entries have none."""

    job_class: str | None
    exception: str | None
    queue: str | None


@dataclass(frozen=True)
class Wanted:
    """Which failed jobs are meant. None means any; `frame` is the innermost one of the user's own
    code; `text` is looked for in the error, in upper or lower case. `absent` names the fields that
    they do not have, of job_class, exception, queue and frame."""

    job_class: str | None = None
    exception: str | None = None
    queue: str | None = None
    text: str | None = None
    frame: str | None = None
    absent: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """False when every failed job is meant."""
        return self != EVERYTHING

    def __str__(self) -> str:
        """For people: `failed jobs with class jobs.fetch, exception TimeoutError`."""
        named = (
            ("job_class", "class"), ("exception",) * 2, ("queue",) * 2, ("frame", "broken at"),
            ("text",) * 2,
        )  # fmt: skip
        given = [f"{name} {getattr(self, field)}" for field, name in named if getattr(self, field)]
        given += [f"no {field.removeprefix('job_')}" for field in sorted(self.absent)]
        return f"failed jobs with {', '.join(given)}" if given else "all failed jobs"

    def matches(self, seen: Glance, raw: bytes = b"") -> bool:
        """`raw` is the entry: other ways to say what is meant may look at more of it."""
        return (
            (self.job_class is None or seen.job_class == self.job_class)
            and (self.exception is None or seen.exception == self.exception)
            and (self.queue is None or seen.queue == self.queue)
            and (self.frame is None or seen.frame == self.frame)
            and (self.text is None or self.text.casefold() in (seen.error or "").casefold())
            and all(getattr(seen, field) is None for field in self.absent)
        )


EVERYTHING = Wanted()
