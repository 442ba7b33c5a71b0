"""`gresque stacks`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.connect import open_store
from gresque.cli.options import Seconds, setting_options
from gresque.cli.output import Output, json_option
from gresque.clock import duration
from gresque.errors import SettingsError
from gresque.store.commands import Command
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.store.store import Store

LOOK_SECONDS = 0.02


@click.command(name="stacks")
@click.argument("target", metavar="[PROCESS|WORKER|HOST|JOB_ID]", required=False)
@click.option(
    "--wait", type=Seconds(), default=5.0, show_default=True,
    help="Seconds to wait for the processes' answers.",
)  # fmt: skip
@setting_options("redis_url", "namespace")
@json_option
def command(flags: dict[str, Any], target: str | None, wait: float, as_json: bool) -> int:
    """Show where every greenlet of the worker processes stands, and what it waits on.

    Of all processes, or of one; of all those of a worker or of a host; or of the job with an id
    alone. A process answers also while a job keeps its loop from turning; while one holds the GIL
    in C, its master tells where that one stands. Exit code: 1 when some process did not answer,
    which one that has been working for less than a second does not.

    \b
    Examples:
      gresque stacks
      gresque stacks vm:4711:web:2:500:10000:4712:1795530000000
      gresque stacks --json 5e0ad1d8c3b44ff2a3b8f2b0f3a3c1d7 | jq '.[].greenlets[0].stack'
    """
    with open_store(flags) as store:
        processes, job_id = _find(store, target)
        answers = _ask(store, processes, wait)
    if job_id is not None:
        answers = {p: [g for g in found or [] if g["id"] == job_id] for p, found in answers.items()}
    told = [{"process": p, "greenlets": found} for p, found in answers.items()]
    Output(as_json).document(told, lambda: _lines(answers))
    return 1 if None in answers.values() else 0


def _find(store: Store, target: str | None) -> tuple[list[str], str | None]:
    """The processes that are meant, and the job when only one is."""
    processes = store.processes.ids()
    if target is None:
        return processes, None
    named = [p for p in processes if p == target or p.startswith(f"{target}:")]
    if named:
        return named, None
    text = target.encode("utf-8", "surrogateescape")
    for process in processes:
        if any(text in entry.raw for entry in store.processes.ledger(process).entries.values()):
            return [process], target
    raise SettingsError(
        f"no process, worker, host or running job is named {printable(target)}; "
        "see gresque workers and gresque running"
    )


def _ask(store: Store, processes: list[str], wait: float) -> dict[str, Any]:
    """Process -> its greenlets, None for one that did not answer in time."""
    tokens = {process: secrets.token_hex(8) for process in processes}
    for process, token in tokens.items():
        store.commands.give(process, Command("stacks", token))
    answers: dict[str, Any] = dict.fromkeys(processes)
    deadline = time.monotonic() + wait
    while None in answers.values() and time.monotonic() <= deadline:
        for process, token in tokens.items():
            if answers[process] is None:
                answers[process] = store.commands.answer(token)
        time.sleep(LOOK_SECONDS)
    return answers


def _lines(answers: dict[str, Any]) -> Iterator[str]:
    if not answers:
        yield "no worker processes"
    for process, greenlets in answers.items():
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
