"""`gresque kill`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.asking import confirm, yes_option
from gresque.cli.connect import operator
from gresque.cli.options import Seconds, setting_options
from gresque.cli.output import Output, counted, json_option
from gresque.cli.stores import Stores, open_stores
from gresque.cli.wanted import wanted_options, wanted_running
from gresque.errors import SettingsError
from gresque.store.commands import Fate, KillAnswer
from gresque.text import printable, shell

if TYPE_CHECKING:
    from gresque.control.kill import Killed
    from gresque.control.targets import Target
    from gresque.inspector.filters import Filter

    Targets = dict[str, list[Target]]

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
    with open_stores(flags, changes=True) as stores:
        targets, missing = _selected(stores, wanted, yes) if wanted else _named(stores, job_ids)
        done = stores.ask(
            lambda store: kill_all(
                store, targets[stores.name_of(store)], by=operator(), wait_seconds=wait
            ),
            takes_long=True,
            only=[shard for shard, some in targets.items() if some],
        )
        killed = [each for some in done.values() for each in some]
        absent = [_absent(job_id) for job_id in missing]
        rows = [*map(_row, killed), *absent]
        left = [_row(each) for each in killed if not each.is_over]
        Output(as_json).document(rows, lambda: _lines(rows, left + absent))
    return 1 if absent or (left and wait) else 0


def _selected(stores: Stores, wanted: Filter, yes: bool) -> tuple[Targets, Sequence[str]]:
    """The jobs by shard, once their number was confirmed."""
    from gresque.control.targets import targets_selected

    found = stores.ask(lambda store: targets_selected(store, wanted), takes_long=True)
    targets = {shard: some for shard, (some, _) in found.items()}
    nameless = any(count for _, count in found.values())
    _refuse_none(targets, "such jobs have no ids" if nameless else "no such job runs")
    confirm(f"Kill {_summary([each for some in targets.values() for each in some])}?", yes)
    return targets, ()


def _named(stores: Stores, job_ids: Sequence[str]) -> tuple[Targets, Sequence[str]]:
    """The jobs by shard, and the ids that run on none."""
    from gresque.control.targets import refuse_ambiguous, targets_named

    found = stores.ask(lambda store: targets_named(store, job_ids))
    targets = {shard: some for shard, (some, _) in found.items()}
    refuse_ambiguous(job_ids, targets.values())
    missing = [
        each for each in dict.fromkeys(job_ids) if all(each in left for _, left in found.values())
    ]
    one = f"no job with the id {printable(job_ids[0])} is running"
    _refuse_none(targets, one if len(job_ids) == 1 else "no job with one of these ids is running")
    return targets, missing


def _refuse_none(targets: Targets, reason: str) -> None:
    if not any(targets.values()):
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
