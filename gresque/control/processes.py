"""Orders to worker processes: pause, continue, drain, recycle. No order loses a job."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from gresque.control.audit import acting, some
from gresque.errors import GresqueError
from gresque.logs import fields
from gresque.processes.short_names import processes_named, short_process
from gresque.store.commands import Command, OrderAnswer
from gresque.store.store import Store
from gresque.text import counted, encoded

log = logging.getLogger("gresque.control")

FIRST_LOOK_SECONDS = 0.02
LONGEST_LOOK_SECONDS = 0.2


class Order(StrEnum):
    """What a process can be asked to do."""

    PAUSE = "pause"  # take no jobs until `continue`; jobs that run go on
    CONTINUE = "continue"
    DRAIN = "drain"  # as pause, and wait until the last job has ended
    RECYCLE = "recycle"  # take no jobs, finish those that run, leave; the master replaces it


_GIVEN = {Order.DRAIN: "pause"}
"""A process that is drained is paused: only its operator waits for more."""


class Ordered(NamedTuple):
    """What became of an order. `state` is that of the process in words, None while it has not
    answered; `held` the number of jobs that it holds. `is_over`: there is nothing to wait for."""

    process: str
    order: Order
    state: str | None = None
    held: int | None = None
    is_over: bool = False

    @property
    def outcome(self) -> str:
        """In a few words."""
        if self.state is None:
            return "did not answer"
        jobs = counted(self.held or 0, "job")
        if self.is_over:
            return {
                Order.PAUSE: f"paused; {jobs} still held" if self.held else "paused",
                Order.CONTINUE: f"continues ({self.state})",
                Order.DRAIN: "drained: it holds no job, and takes none",
                Order.RECYCLE: "left; its master starts another one",
            }[self.order]
        if self.order is Order.DRAIN and self.state == "paused":
            return f"takes no more jobs, and finishes {jobs}"
        if self.order is Order.RECYCLE and self.state != "working":
            return f"takes no more jobs, finishes {jobs}, and leaves"
        if self.state in ("working", "paused"):
            return f"taken, not done yet: a job blocks its loop ({jobs})"
        return f"cannot: it is {self.state}"


def order(
    store: Store, what: Order, processes: Sequence[str], *, by: str, wait_seconds: float
) -> list[Ordered]:
    """Order something of these processes in one round trip, and wait for it at most this long. They
    go on when the wait ends."""
    if not processes:
        return []
    with acting(store, by, f"process {what}", some([*map(short_process, processes)])) as act:
        waiting = _Waiting(store, what, processes)
        log.info(
            "%s asks %s to %s", by, counted(len(processes), "process", "processes"), what,
            extra=fields("processes_ordered", by=by, order=str(what), processes=len(processes)),
        )  # fmt: skip
        try:
            waiting.ask(by)
            waiting.wait(wait_seconds)
        finally:
            act.count = sum(each.state is not None for each in waiting.found.values())
            outcomes = [each.outcome for each in waiting.found.values()]
            act.outcome = some([*dict.fromkeys(outcomes)])
    return [*waiting.found.values()]


def order_named(
    store: Store, what: Order, targets: Collection[str], *, by: str, wait_seconds: float
) -> list[Ordered]:
    """As `order`, of the processes with these names: ids, `host:pid`, those of a worker, of a host.
    Raises GresqueError, before anything is done, for a name that no process has."""
    named = find_processes(store, targets)
    for target, found in named.items():
        if not found:
            raise GresqueError(f"no process, worker or host is named {target}; see gresque ledger")
    ids = dict.fromkeys(each for found in named.values() for each in found)
    return order(store, what, [*ids], by=by, wait_seconds=wait_seconds)


def find_processes(store: Store, targets: Collection[str]) -> dict[str, list[str]]:
    """The processes that each of these names means; see `order_named`."""
    known = store.processes.ids()
    return {target: processes_named(known, target) for target in targets}


class _Waiting:
    """An order, and what is known of it so far."""

    def __init__(self, store: Store, what: Order, processes: Sequence[str]) -> None:
        self._store = store
        self._what = what
        self._tokens = {process: secrets.token_hex(8) for process in processes}
        self.found = {process: Ordered(process, what) for process in processes}

    def ask(self, by: str) -> None:
        name = _GIVEN.get(self._what, str(self._what))
        self._store.commands.give(
            {process: Command(name, token, "", by) for process, token in self._tokens.items()}
        )

    def wait(self, seconds: float) -> None:
        deadline, pause = time.monotonic() + seconds, FIRST_LOOK_SECONDS
        while left := [each for each in self.found.values() if not each.is_over]:
            if time.monotonic() > deadline:
                return
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOK_SECONDS)
            self._look_for_answers([each.process for each in left if each.state is None])
            self._look_at_ledgers([each.process for each in left if each.state is not None])

    def _look_for_answers(self, processes: Sequence[str]) -> None:
        given = self._store.commands.answers([self._tokens[each] for each in processes])
        for process, raw in zip(processes, given, strict=True):
            if raw is not None:
                answer = msgspec.convert(raw, OrderAnswer)
                is_over = answer.done and self._what in (Order.PAUSE, Order.CONTINUE)
                self._note(process, answer.state, answer.held, is_over)

    def _look_at_ledgers(self, processes: Sequence[str]) -> None:
        """The order is taken: it is over when the process holds no job, or has gone."""
        if not processes:
            return
        keys, reads = self._store.keys, self._store.reads()
        scores = [reads.ask(None, "ZSCORE", keys.ledgers, encoded(each)) for each in processes]
        sizes = [reads.number("HLEN", keys.ledger(each)) for each in processes]
        reads.run()
        for process, score, size in zip(processes, scores, sizes, strict=True):
            held, gone = max(size.value - 1, 0), score.value is None
            state = self.found[process].state or ""
            is_over = gone or (self._what is Order.DRAIN and state == "paused" and not held)
            self._note(process, state, held, is_over)

    def _note(self, process: str, state: str, held: int, is_over: bool) -> None:
        self.found[process] = Ordered(process, self._what, state, held, is_over)
