"""A finding: one thing that is wrong, in a sentence, with the next command to type. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


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
