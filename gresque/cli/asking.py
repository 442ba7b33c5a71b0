"""What commands share that list by default, and ask before they act."""

from __future__ import annotations

import sys

import click

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
"""Its value goes to `confirm`."""


class ListByDefault(click.Group):
    """A group of commands that, alone or with options of `list`, is its command `list`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in self.get_help_option_names(ctx)):
            args = ["list", *args]
        return super().parse_args(ctx, args)


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
