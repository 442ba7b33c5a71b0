"""Where a worker's failures go: into which list of Redis, and to whom they are told."""

from __future__ import annotations

import _thread
import logging
import threading
from collections import deque

from gresque.errors import BootError
from gresque.failure.failed_list_name import FailedListName, failed_list_name
from gresque.failure.reporters import Failure, FailureBackend, make_own, own_names
from gresque.forked import call_user_code
from gresque.jobs.hooks import call_hook
from gresque.store.keys import Keys

log = logging.getLogger("gresque.failure")

TELLERS = 10
"""Failures that are being told at once."""
WAITING = 1000
"""Failures that wait to be told; a backend that falls behind further is not told of all."""
PARTING_SECONDS = 5.0
"""How long a process that leaves waits for failures that are still being told."""


class FailureReporter:
    """Knows the list of a failed job, and tells the failure backends of one's own.

    They are told in greenlets of their own (native threads where nothing is patched), so that one
    that hangs or raises holds up no job, no settling and no shutdown. What they are not told of
    stands in Redis all the same.
    """

    def __init__(self, setting: str, keys: Keys) -> None:
        self._setting = setting
        self._keys = keys
        self._names = own_names(setting)
        self._backends: list[FailureBackend] | None = None
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self._waiting: deque[Failure] = deque()
        self._tellers = 0
        self._idle = threading.Event()
        self._idle.set()
        self._left_out = 0

    def place(self, queue: str) -> FailedListName:
        """The list to which a failed job of `queue` goes."""
        return failed_list_name(self._setting, self._keys, queue)

    @property
    def told(self) -> bool:
        """Whether anybody wants to be told."""
        return bool(self._names)

    def open(self) -> None:
        """Make the backends of one's own. Raises BootError."""
        self._backends = call_user_code(make_own, self._names)

    def tell(self, failure: Failure) -> None:
        """Have the backends told. Does not wait, and never raises."""
        with self._lock:
            if len(self._waiting) >= WAITING:
                self._leave_out()
                return
            self._waiting.append(failure)
            if self._tellers >= TELLERS:
                return
            self._tellers += 1
            self._idle.clear()
        try:
            _thread.start_new_thread(self._tell_all, ())
        except RuntimeError as error:  # the machine has no thread left
            log.error("a failure backend was not told: %s", error)
            self._end_teller()

    def _leave_out(self) -> None:
        self._left_out += 1
        if self._left_out % WAITING == 1:
            log.error(
                "%s falls behind: %d failures were not told, which stand in Redis",
                ", ".join(self._names),
                self._left_out,
            )

    def _tell_all(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    break
                failure = self._waiting.popleft()
            self._save(failure)
        self._end_teller()

    def _end_teller(self) -> None:
        with self._lock:
            self._tellers -= 1
            if not self._tellers:
                self._idle.set()

    def _save(self, failure: Failure) -> None:
        for backend in self._opened():
            try:
                call_hook(backend.save, (failure,), {})
            except BaseException:
                log.exception(
                    "the failure backend %s raised; the failure stands in Redis",
                    type(backend).__qualname__,
                )

    def _opened(self) -> list[FailureBackend]:
        """For a recovery they are made when it has something to tell."""
        with self._opening:
            if self._backends is None:
                try:
                    self.open()
                except BootError as error:
                    log.error("%s; the failures stand in Redis", error)
                    self._backends = []
            return self._backends or []

    def part(self, seconds: float = PARTING_SECONDS) -> None:
        """Wait for what is being told, so long at most."""
        if not self._idle.wait(max(seconds, 0)):
            log.error(
                "left without having told all failures to %s; they stand in Redis",
                ", ".join(self._names),
            )
