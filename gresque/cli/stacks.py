"""`gresque stacks`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from gresque.cli.connect import open_store, operator
from gresque.cli.options import Seconds, setting_options
from gresque.cli.output import Output, json_option
from gresque.clock import duration
from gresque.errors import SettingsError
from gresque.text import printable


@click.command(name="stacks")
@click.argument("target", metavar="[PROCESS|WORKER|HOST|JOB_ID]", required=False)
@click.option(
    "--wait", type=Seconds(), default=5.0, show_default=True,
    help="Seconds to wait for the processes' answers.",
)  # fmt: skip
@setting_options("redis_url", "namespace")
@json_option
def command(flags: dict[str, Any], target: str | None, wait: float, as_json: bool) -> int:
    """Show where every greenlet of the worker processes stands, and on what it waits.

    Of all processes, or of one; of all those of a worker or of a host; or of the job with an id
    alone. A process answers also while a job blocks its loop; while a job holds the GIL in C, its
    master answers for the process. Exit code: 1 when some process did not answer; a process that
    started less than a second ago does not.

    \b
    Examples:
      gresque stacks
      gresque stacks vm:4711:web:2:500:10000:4712:1795530000000
      gresque stacks --json 5e0ad1d8c3b44ff2a3b8f2b0f3a3c1d7 | jq '.[].greenlets[0].stack'
    """
    from gresque.control.stacks import read_stacks

    with open_store(flags) as store:
        stacks = read_stacks(store, target, by=operator(), wait_seconds=wait)
    if stacks is None:
        raise SettingsError(
            f"no process, worker, host or running job is named {printable(target)}; "
            "see gresque workers and gresque running"
        )
    rows = [{"process": process, "greenlets": found} for process, found in stacks.items()]
    Output(as_json).document(rows, lambda: _lines(stacks))
    return 1 if None in stacks.values() else 0


def _lines(stacks: Mapping[str, list[dict[str, Any]] | None]) -> Iterator[str]:
    if not stacks:
        yield "no worker processes"
    for process, greenlets in stacks.items():
        yield printable(process)
        if greenlets is None:
            yield "  did not answer"
        elif not greenlets:
            yield "  no jobs are running"
        for greenlet in greenlets or ():
            yield f"  {printable(_title(greenlet))}"
            yield from (f"    {printable(line)}" for line in greenlet["stack"])


def _title(greenlet: dict[str, Any]) -> str:
    since = f", for {duration(greenlet['seconds'])}" if greenlet["seconds"] is not None else ""
    if greenlet["on_cpu"]:
        return f"{greenlet['name']}{since}, on the CPU"
    waits_on = greenlet["waits_on"]
    return f"{greenlet['name']}{since}" + (f", waits on {waits_on}" if waits_on else "")
