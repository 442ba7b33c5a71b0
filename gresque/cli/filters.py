"""The flags by which commands select jobs: `--class`, `--queue` and so on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gresque.seconds import parse_age

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Age(click.ParamType[float]):
    """A number of seconds, or one with a unit: `90`, `10m`, `2h`."""

    name = "age"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        seconds = parse_age(str(value))
        if seconds is None:
            self.fail(f"{value!r} is not an age, such as 90, 10m or 2h.", param, ctx)
        return seconds


def filters(*options: Decorator) -> Decorator:
    """Decorator: these flags, in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def text_filter(*names: str, help: str, metavar: str = "NAME") -> Decorator:
    """A flag with a text, which must not be empty: a shell variable that is not set would select
    every job."""
    return click.option(*names, metavar=metavar, help=help, callback=_given)


def _given(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    if value == "":
        raise click.UsageError(f"{option.opts[0]} is empty; give a value, or leave it out")
    return value


CLASS = text_filter("--class", "job_class", help="Jobs of this class.")
EXCEPTION = text_filter("--exception", help="Those that failed with this.")
