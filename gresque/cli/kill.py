"""`gresque kill`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gresque.cli.connect import open_store
from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import write
from gresque.errors import SettingsError
from gresque.store.speech import Order
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.failure.backend import RedisBackend
    from gresque.store.data_store import DataStore
    from gresque.store.ledger import LedgerEntry

LOOK_SECONDS = 0.02
ASK_AGAIN_SECONDS = 3.0


@click.command(name="kill")
@click.argument("job_id")
@click.option(
    "--wait", type=click.FloatRange(0), default=10.0, show_default=True,
    help="Seconds to wait for its end; 0: only ask.",
)  # fmt: skip
@setting_options("redis_url", "namespace", "failure_backend")
def command(flags: dict[str, Any], job_id: str, wait: float) -> int:
    """Kill a running job; the others in its process go on.

    JobKilled is raised in it, wherever it waits or spins; it ends among the failed jobs as
    DirtyExit. One that swallows that takes its process along after 2 s, whose other jobs are run
    again. Ids are shown by `gresque running`. Exit code: 0 when it is dead, or was asked for with
    --wait 0; 1 when it is not known to be; 2 when no such job runs.

    \b
    Examples:
      gresque kill 5e0ad1d8c3b44ff2a3b8f2b0f3a3c1d7
      gresque running --json | jq -r '.[] | select(.seconds > 600) | .id' | xargs -n 1 gresque kill
    """
    from gresque.failure.backend import open_backend

    with open_store(flags) as store:
        found = _find(store, job_id)
        if found is None:
            raise SettingsError(
                f"no job with the id {printable(job_id)} is running; see gresque running"
            )
        store.give_order(found.process, Order("kill", job_id))
        if not wait:
            write(["requested"])
            return 0
        backend = open_backend(load_settings(flags).failure_backend, store)
        return _await_end(store, backend, found, job_id, wait)


class Held(NamedTuple):
    """A job in a slot of a worker process."""

    process: str
    slot: bytes
    entry: LedgerEntry


def _find(store: DataStore, job_id: str) -> Held | None:
    from gresque.jobs import payload

    text = job_id.encode("utf-8", "surrogateescape")
    for process in store.process_ids():
        for slot, entry in store.ledger(process).entries.items():
            # Nearly every entry can be told by its bytes, without decoding it.
            if text in entry.raw and str(payload.loads(entry.raw).get("id")) == job_id:
                return Held(process, slot, entry)
    return None


def _await_end(
    store: DataStore, backend: RedisBackend, held: Held, job_id: str, wait: float
) -> int:
    deadline = time.monotonic() + wait
    ask_again = time.monotonic() + ASK_AGAIN_SECONDS
    while store.holds(*held):
        if time.monotonic() > ask_again:
            # Whoever took the order may have been replaced since. Twice does no harm.
            store.give_order(held.process, Order("kill", job_id))
            ask_again += ASK_AGAIN_SECONDS
        if time.monotonic() > deadline:
            taken = store.orders_were_taken(held.process)
            write(["delivered; it has not died yet" if taken else "requested; nobody heard it yet"])
            return 1
        time.sleep(LOOK_SECONDS)
    write([_what_became_of(store, backend, held.process, job_id)])
    return 0


def _what_became_of(store: DataStore, backend: RedisBackend, process: str, job_id: str) -> str:
    failed = backend.find_ids([job_id]).get(job_id)
    if failed is None or failed.entry is None or failed.entry.exception != "DirtyExit":
        return "it ended by itself before the kill reached it"
    if process in store.process_ids():
        return f"dead; see gresque failed show {failed.place}"
    return f"it did not die, its process was replaced; see gresque failed show {failed.place}"
