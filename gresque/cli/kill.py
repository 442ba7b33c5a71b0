"""`gresque kill`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.asking import confirm, yes_option
from gresque.cli.connect import open_store, operator
from gresque.cli.options import Seconds, setting_options
from gresque.cli.output import Output, counted, json_option
from gresque.cli.wanted import wanted_options, wanted_running
from gresque.errors import SettingsError
from gresque.store.commands import Fate, KillAnswer
from gresque.text import printable, shell

if TYPE_CHECKING:
    from gresque.control.kill import Killed
    from gresque.control.targets import Target
    from gresque.inspector.filters import Filter
    from gresque.store.store import Store

CLASSES = 3
"""Classes that the question names."""
LISTED = 10
"""Jobs that are named each; of more the outcomes are counted."""


@click.command(name="kill")
@click.argument("job_ids", metavar="[JOB_ID]...", nargs=-1)
@wanted_options
@click.option(
    "--wait", type=Seconds(), default=10.0, show_default=True,
    help="Seconds to wait for their ends; 0: only ask.",
)  # fmt: skip
@yes_option
@setting_options("redis_url", "namespace")
@json_option
def command(
    flags: dict[str, Any],
    job_ids: tuple[str, ...],
    wait: float,
    yes: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Kill running jobs; the others in their processes go on.

    By their ids, or the last digits of them, as `gresque running` shows them; or all that --class,
    --queue, --process, --longer-than and --filter mean together, once their number was confirmed;
    without a terminal that needs --yes.

    JobKilled is raised in a job, while it waits or computes; it ends among the failed jobs as
    DirtyExit. If the job ignores that, its process is killed after 2 s; the other jobs are run
    again. The process itself answers what became of a job; when several hold a job with one id,
    each of them does.

    \b
    Exit code:
      0  all are over: dead, or they had ended by themselves; with --wait 0: they were asked for
      1  one is not known to be over: asked for, delivered, in an uninterruptible section; or its
         process died and it is back in its queue; or there was no job with one of several ids
      2  no such job runs

    \b
    Examples:
      gresque kill 5e0ad1d8c3b44ff2a3b8f2b0f3a3c1d7
      gresque kill f3a3c1d7 2c4a6088
      gresque kill --class myjobs.fetch --longer-than 10m
      gresque kill --filter '>5m waits:api.example'
      gresque kill --process web-07:4712 --yes --json | jq -r '.[].outcome' | sort | uniq -c
    """
    from gresque.control.kill import kill_all

    wanted = wanted_running(options)
    if bool(job_ids) == bool(wanted):
        raise click.UsageError("give either the ids of the jobs to kill, or --class and so on")
    with open_store(flags) as store:
        targets, missing = _selected(store, wanted, yes) if wanted else _named(store, job_ids)
        killed = kill_all(store, targets, by=operator(), wait_seconds=wait)
    absent = [_absent(job_id) for job_id in missing]
    rows = [*map(_row, killed), *absent]
    left = [_row(each) for each in killed if not each.is_over]
    Output(as_json).document(rows, lambda: _lines(rows, left + absent))
    return 1 if absent or (left and wait) else 0


def _selected(store: Store, wanted: Filter, yes: bool) -> tuple[Sequence[Target], Sequence[str]]:
    """The jobs, once their number was confirmed."""
    from gresque.control.targets import targets_selected

    targets, nameless = targets_selected(store, wanted)
    _refuse_none(targets, "such jobs have no ids" if nameless else "no such job runs")
    confirm(f"Kill {_summary(targets)}?", yes)
    return targets, ()


def _named(store: Store, job_ids: Sequence[str]) -> tuple[Sequence[Target], Sequence[str]]:
    """The jobs, and the ids that do not run."""
    from gresque.control.targets import targets_named

    targets, missing = targets_named(store, job_ids)
    one = f"no job with the id {printable(job_ids[0])} is running"
    _refuse_none(targets, one if len(job_ids) == 1 else "no job with one of these ids is running")
    return targets, missing


def _refuse_none(targets: Sequence[Target], reason: str) -> None:
    if not targets:
        raise SettingsError(f"{reason}; see gresque running")


def _summary(targets: Sequence[Target]) -> str:
    """`812 running jobs, 700 × a.fetch, 112 × b.send, in 4 processes`."""
    classes = Counter(str(target.job_class) for target in targets)
    named = [f"{count:,} × {printable(name)}" for name, count in classes.most_common(CLASSES)]
    if len(classes) > CLASSES:
        named.append(f"{len(classes) - CLASSES:,} more classes")
    processes = len({target.held.process for target in targets})
    return (
        f"{counted(len(targets), 'running job')}, {', '.join(named)}, "
        f"in {counted(processes, 'process', 'processes')}"
    )


def _row(killed: Killed) -> dict[str, Any]:
    return {
        "process": killed.process,
        "id": killed.job_id,
        "outcome": killed.answer.fate,
        "message": _outcome(killed.answer, killed.job_id),
    }


def _absent(job_id: str) -> dict[str, Any]:
    return {
        "process": None, "id": job_id, "outcome": "not_running", "message": "it does not run",
    }  # fmt: skip


def _lines(rows: list[dict[str, Any]], left: list[dict[str, Any]]) -> Iterator[str]:
    """`left` are those that are not known to be over."""
    if len(rows) == 1:
        yield rows[0]["message"]
    elif len(rows) <= LISTED:
        processes = Counter(row["id"] for row in rows)
        for row in rows:
            where = f" in {printable(row['process'])}" if processes[row["id"]] > 1 else ""
            yield f"{printable(row['id'])}{where}: {row['message']}"
    else:
        messages = Counter(_plain(row["message"]) for row in rows)
        yield from (f"{count:,} × {message}" for message, count in messages.most_common())
        if left:
            ids = [printable(row["id"]) for row in left[:LISTED]]
            more = f" and {len(left) - LISTED:,} more" if len(left) > LISTED else ""
            yield f"not over: {' '.join(ids)}{more}"
        if any("failed show" in row["message"] for row in rows):
            yield "see gresque failed list"


def _plain(message: str) -> str:
    """Without the command that shows this very job."""
    return message.partition("; see ")[0]


def _outcome(answer: KillAnswer, job_id: str) -> str:
    where = f"; see {shell('gresque', 'failed', 'show', job_id)}" if answer.in_failed else ""
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
