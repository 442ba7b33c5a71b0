"""`gresque kill`."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gresque.cli.connect import open_store
from gresque.cli.options import Seconds, setting_options
from gresque.cli.output import Output, json_option
from gresque.errors import SettingsError
from gresque.store.commands import Fate, KillAnswer
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.store.ledger import LedgerEntry
    from gresque.store.store import Store

LOOK_SECONDS = 0.02
ASK_AGAIN_SECONDS = 3.0
GONE_SECONDS = 5.0
"""Whoever recovers a dead process answers in its place; so long it is waited for."""

DOUBT_SECONDS = 0.5
"""A process may say that a job has ended while it still holds it: it has not read yet that it was
given the job, or has not settled its end. Then it is asked anew after so long."""

HEAD = 100
"""So many jobs at the head of a queue are searched for one that was given back."""

OVER = {Fate.DEAD, Fate.REPLACED, Fate.ENDED, Fate.DIED_FAILED, Fate.DIED_WITHOUT}
"""The job does not run any more, and will not again."""


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

    JobKilled is raised in it, wherever it waits or spins; it ends among the failed jobs as
    DirtyExit. If the job ignores that, its process is killed after 2 s; the other jobs are run
    again. The process itself tells what became of the job; should several hold a job with this id,
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
    with open_store(flags) as store:
        asked = [Asked(secrets.token_hex(8), *held) for held in _find(store, job_id)]
        if not asked:
            raise SettingsError(
                f"no job with the id {printable(job_id)} is running; see gresque running"
            )
        answers = _ask(store, asked, job_id, wait)
    told = [
        {
            "process": each.process,
            "id": job_id,
            "outcome": answer.fate,
            "told": _told(answer, job_id),
        }
        for each, answer in zip(asked, answers, strict=True)
    ]
    Output(as_json).document(told, lambda: _lines(told))
    over = all(answer.fate in OVER for answer in answers)
    return 0 if over or not wait else 1


class Asked(NamedTuple):
    """A process that is asked to kill a job which it holds."""

    token: str
    process: str
    slot: bytes
    entry: LedgerEntry


def _find(store: Store, job_id: str) -> list[tuple[str, bytes, LedgerEntry]]:
    """Those that hold such a job: process, slot, entry. A foreign program may use an id twice."""
    from gresque.jobs import payload

    text = job_id.encode("utf-8", "surrogateescape")
    found: dict[str, tuple[str, bytes, LedgerEntry]] = {}
    for process in store.processes.ids():
        for slot, entry in store.processes.ledger(process).entries.items():
            # Nearly every entry can be told by its bytes, without decoding it.
            if text in entry.raw and str(payload.loads(entry.raw).get("id")) == job_id:
                found.setdefault(process, (process, slot, entry))
    return list(found.values())


def _ask(store: Store, asked: list[Asked], job_id: str, wait: float) -> list[KillAnswer]:
    """What each of them says in the end, or has said when the time is over."""
    for each in asked:
        store.commands.ask_kill(each.process, each.token, job_id, wait)
    answers = [KillAnswer(Fate.REQUESTED)] * len(asked)
    deadline = time.monotonic() + wait
    ask_again = time.monotonic() + ASK_AGAIN_SECONDS
    gone_since: dict[str, float] = {}
    doubted: dict[str, float] = {}
    while wait and not all(answer.is_final for answer in answers):
        now = time.monotonic()
        again = now > ask_again
        ask_again += ASK_AGAIN_SECONDS if again else 0
        for index, each in enumerate(asked):
            if answers[index].is_final:
                continue
            answer = _answer(store, each, answers[index], gone_since)
            if answer.fate is Fate.ENDED and _is_held(store, each):
                if now - doubted.setdefault(each.token, now) > DOUBT_SECONDS:
                    asked[index] = each = each._replace(token=secrets.token_hex(8))
                    store.commands.ask_kill(each.process, each.token, job_id, wait)
                continue
            answers[index] = answer
            if again and not answers[index].is_final:
                # Whoever took the order may have gone since. Twice does no harm.
                store.commands.ask_kill(each.process, each.token, job_id, wait)
        if now > deadline:
            break
        time.sleep(LOOK_SECONDS)
    return answers


def _answer(
    store: Store, asked: Asked, last: KillAnswer, gone_since: dict[str, float]
) -> KillAnswer:
    is_there = store.processes.has_ledger(asked.process)  # first: it answers before it leaves
    answer = store.commands.kill_answer(asked.token) or last
    if not (answer.is_final or is_there):
        if not store.processes.is_fenced(asked.process):
            answer = KillAnswer(Fate.ENDED)  # it left before it heard of the kill
        elif (
            time.monotonic() - gone_since.setdefault(asked.process, time.monotonic()) > GONE_SECONDS
        ):
            answer = KillAnswer(Fate.LOST)
    if answer.fate is Fate.ENDED and store.queues.is_in_head(asked.entry, HEAD):
        return KillAnswer(Fate.REQUEUED)
    return answer


def _is_held(store: Store, asked: Asked) -> bool:
    held = store.processes.ledger(asked.process).entries.get(asked.slot)
    return held == asked.entry and store.processes.has_ledger(asked.process)


def _lines(told: list[dict[str, Any]]) -> list[str]:
    several = len(told) > 1
    return [f"{printable(t['process'])}: {t['told']}" if several else t["told"] for t in told]


def _told(answer: KillAnswer, job_id: str) -> str:
    where = f"; see gresque failed --search {printable(job_id)}" if answer.in_failed else ""
    return {
        Fate.REQUESTED: "requested; nobody heard it yet",
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
        Fate.LOST: "its process died, and nobody answered; see gresque running and gresque failed",
    }[answer.fate]
