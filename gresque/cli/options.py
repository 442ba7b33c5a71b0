"""Click options made from the table of settings: flags, ENV and defaults have one place."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from gresque.jobs import filter_args
from gresque.settings import OPTIONS, Settings
from gresque.shards import named


def setting_options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: the flags of these settings (of all when none are named). The command gets
    `flags`, a dict for `load_settings`; where the server is chosen, `--shard` is among them."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def command(**given: Any) -> Any:
            flags = {name: given.pop(name) for name in chosen}
            if narrows:
                flags[SHARD] = given.pop(SHARD)
            return function(flags=flags, **given)

        command.__doc__ = function.__doc__
        command.__name__ = function.__name__
        command.__click_params__ = getattr(  # type: ignore[attr-defined]
            function, "__click_params__", []
        )
        if narrows:
            command = _shard_option(command)
        for name in reversed(chosen):
            command = _option(name)(command)
        return command

    given = names or tuple(OPTIONS)
    more = ("shards",) if "redis_url" in names else ()
    chosen = tuple(name for name in (*given, *more) if OPTIONS[name].flags)
    narrows = "redis_url" in names
    return decorate


SHARD = "shard"
_shard_option = click.option(
    "--shard", SHARD, metavar="NAME", help="This shard alone, by its name or number."
)


def _option(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    option = OPTIONS[name]
    default = "" if option.default in (None, (), "", False) else f", default {option.default}"
    if option.default is True:
        default = ", default on"
    return click.option(
        *option.flags,
        name,
        # Texts stay texts: the settings parse them, so that ENV and flags get the same messages.
        type=bool if option.is_flag else str,
        is_flag=option.is_flag,
        default=None,
        multiple=option.repeatable,
        help=f"{option.help}  [{' or '.join(option.envs)}{default}]",
    )


class Seconds(click.ParamType[float]):
    """A time to wait, of an hour at most."""

    name = "seconds"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= 3600:
            self.fail(f"{value!r} is not a number of seconds from 0 to 3600.", param, ctx)
        return seconds


def load_settings(flags: dict[str, Any]) -> Settings:
    """The settings of this call: flag over ENV over default; with `--shard` those of that shard.
    What they say of arguments that are not shown holds in this process from now on."""
    settings = Settings.load(flags, os.environ)
    filter_args.use(settings.filter_args)
    if flags.get(SHARD) is None:
        return settings
    return settings.of_shard(named(settings.all_shards(), flags[SHARD]))
