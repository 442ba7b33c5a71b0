"""`gresque kill`."""

from __future__ import annotations

import shlex
from typing import Any

import click

from gresque.cli.connect import open_store, operator
from gresque.cli.options import Seconds, setting_options
from gresque.cli.output import Output, json_option
from gresque.errors import SettingsError
from gresque.store.commands import Fate, KillAnswer
from gresque.text import printable


@click.command(name="kill")
@click.argument("job_id")
@click.option(
    "--wait", type=Seconds(), default=10.0, show_default=True,
    help="Seconds to wait for its end; 0: only ask.",
)  # fmt: skip
@setting_options("redis_url", "namespace")
@json_option
def command(flags: dict[str, Any], job_id: str, wait: float, as_json: bool) -> int:
    """Kill a running job; the others in its process go on.

    JobKilled is raised in it, while it waits or computes; it ends among the failed jobs as
    DirtyExit. If the job ignores that, its process is killed after 2 s; the other jobs are run
    again. The process itself answers what became of the job; when several hold a job with this id,
    each of them does. Ids are shown by `gresque running`.

    \b
    Exit code:
      0  it is over: dead, or it had ended by itself before; with --wait 0: it was asked for
      1  it is not known to be over: asked for, delivered, in an uninterruptible section; or its
         process died and it is back in its queue
      2  no such job runs

    \b
    Examples:
      gresque kill 5e0ad1d8c3b44ff2a3b8f2b0f3a3c1d7
      gresque running --json | jq -r '.[] | select(.seconds > 600) | .id' | xargs -n 1 gresque kill
    """
    from gresque.control.kill import kill

    with open_store(flags) as store:
        killed = kill(store, job_id, by=operator(), wait_seconds=wait)
    if not killed:
        raise SettingsError(
            f"no job with the id {printable(job_id)} is running; see gresque running"
        )
    rows = [
        {
            "process": each.process,
            "id": each.job_id,
            "outcome": each.answer.fate,
            "message": _outcome(each.answer, each.job_id),
        }
        for each in killed
    ]
    Output(as_json).document(rows, lambda: _lines(rows))
    return 0 if all(each.is_over for each in killed) or not wait else 1


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    if len(rows) == 1:
        return [rows[0]["message"]]
    return [f"{printable(row['process'])}: {row['message']}" for row in rows]


def _outcome(answer: KillAnswer, job_id: str) -> str:
    shown = shlex.quote(printable(job_id))
    where = f"; see gresque failed show {shown}" if answer.in_failed else ""
    return {
        Fate.REQUESTED: "requested; its process has not answered yet",
        Fate.DELIVERED: "delivered; it has not died yet",
        Fate.GUARDED: (
            "delivered; it is in an uninterruptible section, and dies at its end, "
            "or after RESQUE_TERM_TIMEOUT with its process"
        ),
        Fate.DEAD: f"dead{where}",
        Fate.ENDED: "it ended by itself, not by the kill",
        Fate.REPLACED: f"it did not die, its process was replaced{where}",
        Fate.REQUEUED: "it was not killed: it is back in its queue",
        Fate.DIED_FAILED: f"its process died before it answered, and the job failed{where}",
        Fate.DIED_REQUEUED: "its process died before it answered; the job is back in its queue",
        Fate.DIED_WITHOUT: "its process died before it answered; the job had ended by then",
        Fate.LOST: "its process died without an answer; see gresque running and gresque failed",
    }[answer.fate]
