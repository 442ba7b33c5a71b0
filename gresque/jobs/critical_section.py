"""`with gresque.uninterruptible():` a section of a job that no kill cuts in two."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class uninterruptible:
    """Guards a critical section of a job.

        with gresque.uninterruptible():
            charge(card)
            store.mark_as_charged(order)

    A kill, a timeout or a shutdown that comes meanwhile raises `JobKilled` at the end of the
    section. Only the last resort cuts it short: SIGKILL to its process, RESQUE_TERM_TIMEOUT after
    the kill was asked for; and of course the death of the machine. So keep it short, and bound what
    it waits for. Sections nest. It guards the job's own greenlet, not those that the job spawns;
    outside a worker it does nothing.
    """

    def __init__(self) -> None:
        self._thread: Any = None

    def __enter__(self) -> None:
        # Where greenlet is not loaded there is no worker, and `import gresque` stays cheap.
        greenlet = sys.modules.get("greenlet")
        thread = greenlet.getcurrent() if greenlet is not None else None
        if hasattr(thread, "unguard"):
            self._thread = thread
            self._thread.guard()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._thread.unguard()
