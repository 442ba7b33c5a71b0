"""`gresque stacks`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.connect import operator
from gresque.cli.options import Seconds, setting_options
from gresque.cli.output import Output, json_option
from gresque.cli.stack_groups import grouped, own_frames, title
from gresque.cli.stores import open_stores
from gresque.errors import SettingsError
from gresque.processes.short_names import short_process
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.control.stacks import Stacks


@click.command(name="stacks")
@click.argument("target", metavar="[PROCESS|WORKER|HOST|JOB_ID]", required=False)
@click.option(
    "--wait", type=Seconds(), default=5.0, show_default=True,
    help="Seconds to wait for the processes' answers.",
)  # fmt: skip
@click.option("--each", is_flag=True, help="Show each greenlet, also those with equal stacks.")
@setting_options("redis_url", "namespace")
@json_option
def command(
    flags: dict[str, Any], target: str | None, wait: float, each: bool, as_json: bool
) -> int:
    """Show where every greenlet of the worker processes stands, and on what it waits.

    Of all processes, or of one; of all those of a worker or of a host; or of the job with an id
    alone. Short names will do, as `gresque running` shows them. Equal stacks are shown once, with
    their number, those on the CPU first; --each shows each greenlet by itself, by process. Frames
    of gevent are left out; the JSON has all of them, and each greenlet.

    A process answers also while a job blocks its loop; while a job holds the GIL in C, its master
    answers for the process. Exit code: 1 when some process did not answer; a process that started
    less than a second ago does not.

    \b
    Examples:
      gresque stacks
      gresque stacks vm:4712
      gresque stacks --each 1b5d7e9f
      gresque stacks --json 5e0ad1d8c3b44ff2a3b8f2b0f3a3c1d7 | jq '.[].greenlets[0].stack'
    """
    from gresque.control.stacks import read_stacks

    with open_stores(flags, changes=True) as stores:
        answers = stores.ask(
            lambda store: read_stacks(store, target, by=operator(), wait_seconds=wait),
            takes_long=True,
        )
        if all(answer is None for answer in answers.values()):
            raise SettingsError(
                f"no process, worker, host or running job is named {printable(target)}; "
                "see gresque workers and gresque running"
            )
        stacks: Stacks = {}
        for answer in answers.values():
            stacks |= answer or {}
        rows = [{"process": process, "greenlets": found} for process, found in stacks.items()]
        Output(as_json).document(rows, lambda: _lines(stacks, each))
    return 1 if None in stacks.values() else 0


def _lines(stacks: Stacks, each: bool) -> Iterator[str]:
    if not stacks:
        yield "no worker processes"
    silent = [process for process, greenlets in stacks.items() if greenlets is None]
    found = _one_by_one(stacks) if each else _in_groups(stacks)
    yield from map(printable, found)
    if not each:
        yield from (f"{printable(short_process(process))} did not answer" for process in silent)


def _in_groups(stacks: Stacks) -> Iterator[str]:
    for heading, stack in grouped(stacks):
        yield heading
        yield from (f"    {line}" for line in stack)
    if stacks and not any(stacks.values()):
        yield "no jobs are running"


def _one_by_one(stacks: Stacks) -> Iterator[str]:
    for process, greenlets in stacks.items():
        yield process
        if greenlets is None:
            yield "  did not answer"
        elif not greenlets:
            yield "  no jobs are running"
        for greenlet in greenlets or ():
            yield f"  {title(greenlet)}"
            yield from (f"    {line}" for line in own_frames(greenlet["stack"]))
