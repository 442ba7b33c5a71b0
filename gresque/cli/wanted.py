"""The flags that say which running jobs are meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from gresque.inspector.wanted import WantedRunning

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_AGE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|min|h|d)?")


class Age(click.ParamType[float]):
    """A number of seconds, or one with a unit: `90`, `10m`, `2h`."""

    name = "age"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        found = _AGE.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is not an age, such as 90, 10m or 2h.", param, ctx)
        return float(found[1]) * _UNITS[found[2] or "s"]


def wanted_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: the flags; `wanted_running` takes their values."""
    for option in reversed(
        [
            click.option("--class", "job_class", metavar="NAME", help="Jobs of this class."),
            click.option("--queue", metavar="NAME", help="Those from this queue."),
            click.option(
                "--process", metavar="NAME",
                help="Those in this process, such as host:pid, or on this host.",
            ),
            click.option(
                "--longer-than", type=Age(), metavar="AGE",
                help="Those that have been running for that long: 90, 10m, 2h.",
            ),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def wanted_running(options: dict[str, Any]) -> WantedRunning:
    from gresque.inspector.wanted import WantedRunning

    for name, value in options.items():
        if value == "":
            flag = {"job_class": "class"}.get(name, name)
            raise click.UsageError(f"--{flag} is empty; give a value, or leave it out")
    return WantedRunning(**options)
