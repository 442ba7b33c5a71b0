"""What worker processes say of themselves in Redis, and what they are asked to do. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

ORDER_EXPIRY_SECONDS = 60
"""An order that nobody takes is forgotten; so is an answer that nobody reads."""


class Order(NamedTuple):
    """`kill` with a job's id as the argument, or `stacks` with a token for the answer."""

    verb: str
    argument: str

    def encode(self) -> bytes:
        return f"{self.verb} {self.argument}".encode("utf-8", "surrogateescape")

    @classmethod
    def parse(cls, raw: bytes) -> Order:
        verb, _, argument = raw.decode("utf-8", "surrogateescape").partition(" ")
        return cls(verb, argument)


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
