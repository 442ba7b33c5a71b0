"""A group of commands that says which ones there are when one is misspelt."""

from __future__ import annotations

from typing import Any

import click

MOST_LISTED = 10


class Group(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            raise click.UsageError(f"no command {args[0]!r}; {self._others(ctx, args[0])}")
        return super().resolve_command(ctx, args)

    def _others(self, ctx: click.Context, name: str) -> str:
        names = self.list_commands(ctx)
        if len(names) <= MOST_LISTED:
            return f"{ctx.command_path} has {', '.join(names)}"
        from difflib import get_close_matches

        near = get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"{hint}{ctx.command_path} --help lists them"


def explain(error: click.ClickException) -> str:
    """One line; where a word is missing or not known, with the help to look at."""
    message = error.format_message().removesuffix(".")
    context: Any = getattr(error, "ctx", None)
    if isinstance(error, click.MissingParameter | click.NoSuchOption) and context is not None:
        if isinstance(error, click.NoSuchOption) and context.parent is None:
            message += "; the options of a command stand behind its name"
        see = "; see" if not message.endswith("?") else " See"
        return f"{message}{see} {context.command_path} --help"
    return error.format_message()
