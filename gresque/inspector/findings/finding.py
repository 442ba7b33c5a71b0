"""A finding: one thing that is wrong, in a sentence, with the next command to type. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from gresque.text import printable, shell


class Level(StrEnum):
    """How bad it is."""

    BROKEN = "broken"
    """Jobs fail, stand still or are in danger."""
    WARNING = "warning"
    """It may become so, or an operator wants it so."""


@dataclass(frozen=True)
class Finding:
    """`kind` names the function that found it, for programs; `details` are its numbers. `commands`
    are what to type next: the first one looks, a later one may act."""

    level: Level
    kind: str
    message: str
    commands: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def is_broken(self) -> bool:
        return self.level is Level.BROKEN

    def as_dict(self) -> dict[str, Any]:
        return {
            "level": self.level,
            "kind": self.kind,
            "message": self.message,
            "commands": list(self.commands),
            "details": self.details,
        }

    def on_shard(self, shard: str) -> Finding:
        """The same where there are several shards: it says which one, and so do its commands."""
        return replace(
            self,
            message=f"shard {printable(shard)}: {self.message}",
            commands=tuple(_on_shard(each, shard) for each in self.commands),
            details={**self.details, "shard": shard},
        )


def shard_away(shard: str, reason: str) -> Finding:
    """A shard that does not answer."""
    message = printable(f"shard {shard} does not answer, its numbers are missing: {reason}")
    return Finding(Level.BROKEN, "shard_away", message, (), {"shard": shard, "reason": reason})


def _on_shard(command: str, shard: str) -> str:
    if not command.startswith("gresque ") or command.startswith("gresque work"):
        return command
    return f"{command} {shell('--shard', shard)}"
