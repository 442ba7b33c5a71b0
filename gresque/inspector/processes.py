"""Worker processes: what each holds, what became of what it held, how it is."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from gresque.inspector.names import started_at, worker_and_pid, worker_name
from gresque.inspector.running import parse_running
from gresque.processes.vitals import Vitals
from gresque.processes.vitals import parse as parse_vitals
from gresque.store.ledger import STATE, Totals, parse_state
from gresque.store.store import Store


@dataclass(frozen=True)
class ProcessStatus:
    """One worker process, and its ledger.

    `queues` is how many of the held jobs came from where, `longest_seconds` how long the oldest of
    them has been running, where one has for over a second. A `fenced` process was declared dead.
    `vitals` is None where its maintenance process has not written them.
    """

    process: str
    host: str
    master_pid: int | None
    pid: int | None
    started: float | None
    age_seconds: float | None
    beat_age_seconds: float
    fenced: bool
    held: int
    longest_seconds: float | None
    queues: dict[str, int]
    reserved: int
    done: int
    failed: int
    requeued: int
    retried: int
    vitals: Vitals | None = None

    @classmethod
    def all(cls, store: Store) -> list[ProcessStatus]:
        """Every process, by host and age, in four round trips. No payload is read."""
        keys, reads = store.keys, store.reads()
        clock, beats = reads.now(), reads.scores("ZRANGE", keys.ledgers)
        reads.run()
        processes = [*beats.value]
        held = [reads.number("HLEN", keys.ledger(each)) for each in processes]
        states = [reads.ask(b"", "HGET", keys.ledger(each), STATE) for each in processes]
        running = reads.texts([keys.running(each) for each in processes])
        vitals = reads.hash_values(keys.vitals, processes)
        reads.run()
        queues = store.processes.held_by_queue(processes)
        now = clock.value
        found = []
        for position, process in enumerate(processes):
            worker, pid = worker_and_pid(process)
            name, started = worker_name(worker), started_at(process)
            longest = min(parse_running(running.value[position]).since.values(), default=None)
            state = states[position].value
            found.append(
                cls(
                    process=process,
                    host=name.hostname if name else worker,
                    master_pid=name.master_pid if name else None,
                    pid=pid,
                    started=started,
                    age_seconds=None if started is None else max(now - started, 0.0),
                    beat_age_seconds=max(now - beats.value[process] / 1000, 0.0),
                    fenced=state.startswith(b"fenced"),
                    # One field of a ledger is its state.
                    held=max(held[position].value - 1, 0),
                    longest_seconds=None if longest is None else max(now - longest, 0.0),
                    queues=queues[position],
                    vitals=parse_vitals_or_none(vitals.value[position]),
                    **parse_totals(state)._asdict(),
                )
            )
        return sorted(found, key=lambda each: each.order)

    @property
    def order(self) -> tuple[str, float, str]:
        """By which processes are listed: by host and age."""
        return self.host, self.started or 0.0, self.process


def parse_totals(state: bytes) -> Totals:
    """None but zeros where another program wrote the ledger."""
    try:
        return parse_state(state)
    except ValueError:
        return Totals()


def parse_vitals_or_none(raw: bytes | None) -> Vitals | None:
    try:
        return None if raw is None else parse_vitals(raw)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None
