"""What commands share that list by default, and ask before they act."""

from __future__ import annotations

import sys

import click
from click.shell_completion import CompletionItem

from gresque.cli.group import Group

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
"""Its value goes to `confirm`."""


class ListByDefault(Group):
    """A group of commands that, alone or with options of `list`, is its command `list`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # A shell that completes the name of a command has typed none yet.
        alone = not args and not ctx.resilient_parsing
        if alone or self._begins_with_a_flag_of_list(ctx, args):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def _begins_with_a_flag_of_list(self, ctx: click.Context, args: list[str]) -> bool:
        own = self.get_help_option_names(ctx)
        return bool(args) and args[0].startswith("-") and args[0] not in own

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = super().shell_complete(ctx, incomplete)
        alone = self.get_command(ctx, "list")
        if alone is not None and incomplete.startswith("-"):
            own = {item.value for item in found}
            found += [
                item for item in alone.shell_complete(ctx, incomplete) if item.value not in own
            ]
        return found


def confirm(question: str, yes: bool) -> None:
    """Ask on the terminal; on "no" the command ends with 1. Where stdin is not a terminal, `yes`
    has to be given."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("stdin is not a terminal; give --yes to skip the confirmation")
    if not click.confirm(question, err=True):
        click.echo("nothing was done", err=True)
        raise click.exceptions.Exit(1)
