"""The history of the last turns: all that left the ledger, for a server that forgets them."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gresque.logs import fields
from gresque.worker.turns.in_flight import Settled

log = logging.getLogger("gresque.worker")

KEPT_SECONDS = 30.0
KEPT_BYTES = 16 << 20


class KeptTurn(NamedTuple):
    """The jobs that a turn moved out of the ledger, with their effects."""

    number: int
    settled: Sequence[Settled]
    size: int
    at: float

    @property
    def age_ms(self) -> int:
        return int((time.monotonic() - self.at) * 1000)


class History:
    """The turns in which jobs ended with effects (they failed or were given back), for 30 s or
    16 MB. Nothing is kept of jobs that are simply done."""

    def __init__(self) -> None:
        self._turns: deque[KeptTurn] = deque()
        self._size = 0
        self._cut_logged = False
        self.complete_after = 0
        """All turns with a higher number are known."""

    def keep(self, number: int, settled: Sequence[Settled]) -> None:
        """A turn was done. Called while the server answers, so that what happened before an outage
        is kept through it."""
        now = time.monotonic()
        size = sum(each.size for each in settled)
        self._turns.append(KeptTurn(number, settled, size, now))
        self._size += size
        while self._turns[0].at < now - KEPT_SECONDS:
            self._forget_oldest()
        while self._size > KEPT_BYTES:
            if not self._cut_logged:
                self._cut_logged = True
                log.warning(
                    "over %d MB of failures and results in the last %.0f s: should Redis fail over "
                    "now to a replica that lags, it may miss some of them",
                    KEPT_BYTES >> 20,
                    now - self._turns[0].at,
                    extra=fields("history_cut", bytes=self._size),
                )
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        turn = self._turns.popleft()
        self._size -= turn.size
        self.complete_after = turn.number

    def after(self, number: int) -> Iterator[KeptTurn]:
        """The kept turns above this number, oldest first."""
        return (turn for turn in self._turns if turn.number > number)
