"""What worker processes say of themselves in Redis, and what they are asked to do. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

COMMAND_EXPIRY_SECONDS = 60
"""An order that nobody takes is forgotten; so is an answer that nobody reads."""


class Command(NamedTuple):
    """`kill` with a job's id as the argument, or `stacks`; the token names the key of the
    answers."""

    name: str
    token: str
    argument: str = ""

    def encode(self) -> bytes:
        return f"{self.name} {self.token} {self.argument}".encode("utf-8", "surrogateescape")

    @classmethod
    def parse(cls, raw: bytes) -> Command:
        name, token, argument = (*raw.decode("utf-8", "surrogateescape").split(" ", 2), "", "")[:3]
        return cls(name, token, argument)


class Fate(StrEnum):
    """What became of the order to kill a job."""

    REQUESTED = "requested"
    DELIVERED = "delivered"  # the process is at it
    GUARDED = "guarded"  # so it is, but the job is in an uninterruptible section
    DEAD = "dead"
    ENDED = "ended"  # by itself, not by the kill
    REQUEUED = "requeued"  # a shutdown was first, or the process had given it back
    REPLACED = "replaced"  # it had to die with its process
    DIED_FAILED = "died_failed"  # its process died before it answered; the job failed
    DIED_REQUEUED = "died_requeued"  # the same, but it is back in its queue
    DIED_WITHOUT = "died_without"  # the same, but the process did not hold it any more
    LOST = "lost"  # nobody answered


_UNDER_WAY = (Fate.REQUESTED, Fate.DELIVERED, Fate.GUARDED)


class KillAnswer(msgspec.Struct, frozen=True):
    """What a process says of a kill, or whoever recovers it when it is dead. `in_failed` says that
    the job stands in the failed list."""

    fate: Fate
    in_failed: bool = False

    @property
    def is_final(self) -> bool:
        return self.fate not in _UNDER_WAY


class Blocking(msgspec.Struct):
    """The job in this slot keeps the others of its process from running, since then, and there."""

    slot: str
    since: float
    stack: list[str]


class Running(msgspec.Struct):
    """What a process runs: slot -> since when, of jobs that run for over a second. In Redis the
    times are epoch seconds by the server's clock."""

    since: dict[str, float] = msgspec.field(default_factory=dict)
    blocking: Blocking | None = None

    def __bool__(self) -> bool:
        return bool(self.since) or self.blocking is not None

    def shifted(self, seconds: float) -> Running:
        """The same on a clock that is ahead by so much."""
        blocking = self.blocking
        if blocking is not None:
            blocking = Blocking(blocking.slot, blocking.since + seconds, blocking.stack)
        return Running({slot: t + seconds for slot, t in self.since.items()}, blocking)

    def encode(self) -> bytes:
        """Empty for nothing."""
        return msgspec.json.encode(self) if self else b""

    @classmethod
    def parse(cls, raw: bytes) -> Running:
        """Raises msgspec.MsgspecError for what is none."""
        return msgspec.json.decode(raw, type=cls)
