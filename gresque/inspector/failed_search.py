"""Looking for a text in the failed jobs, in the background, the newest first."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import islice

import redis

from gresque.failure.backend import RedisBackend
from gresque.failure.failed_list import FailedJob, read_entry
from gresque.failure.search import Wanted, glance

PAGE_HITS = 50
MOST_HITS = 1000
STEP = 500
"""Entries between two reports of the progress."""
UNASKED_SECONDS = 30.0
"""A search that nobody asks for during this time ends."""
MOST_SEARCHES = 8
CLOSE_SECONDS = 5.0
"""A page takes milliseconds; a server that hangs is not waited for any longer."""


class FailedSearch:
    """One search. It looks no further than to the end of the page that was asked for last, and goes
    on when the next one is.

        search = FailedSearch(backend, WantedFailed(filter=parse("shop-204")))
        hits = search.page(0)
        print(search.looked_at, "of", search.total)
    """

    def __init__(self, backend: RedisBackend, wanted: Wanted) -> None:
        self.wanted = wanted
        self.looked_at = 0
        self.total = 0
        self.is_cancelled = False
        self.is_over = False
        """It has looked at everything, was cancelled, or has MOST_HITS."""
        self.error = ""
        self.asked_at = time.monotonic()
        self._backend = backend
        self._hits: list[FailedJob] = []
        self._needed = 0
        self._more = threading.Event()
        self._thread = threading.Thread(target=self._run, name="failed search", daemon=True)
        self._thread.start()

    def page(self, number: int) -> list[FailedJob]:
        """The hits of this page that were found until now; the first page is 0."""
        self.asked_at = time.monotonic()
        # One hit of the next page, too: it says that there is one.
        self._needed = max(self._needed, min((number + 1) * PAGE_HITS + 1, MOST_HITS))
        self._more.set()
        return self._hits[number * PAGE_HITS : (number + 1) * PAGE_HITS]

    def wait(self, number: int, seconds: float) -> list[FailedJob]:
        """The same, but give it some time to fill the page."""
        until = time.monotonic() + seconds
        hits = self.page(number)
        while self.is_looking and time.monotonic() < until:
            time.sleep(0.005)
        return hits if len(hits) == PAGE_HITS else self.page(number)

    @property
    def found(self) -> int:
        return len(self._hits)

    @property
    def is_looking(self) -> bool:
        """False when it is over, or has what was asked for."""
        return not self.is_over and self.found < self._needed

    def cancel(self) -> None:
        self.is_cancelled = self.is_over = True
        self._more.set()

    def join(self, seconds: float) -> None:
        """Wait for the end of its thread, which finishes the page that it reads."""
        self._thread.join(seconds)

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.total = self._backend.count()
            for job in islice(self._each(), MOST_HITS):
                self._hits.append(job)
                while self.found >= self._needed and not self.is_over:
                    self._more.clear()
                    if not self._more.wait(UNASKED_SECONDS):
                        return
                if self.is_over:
                    return
        except redis.RedisError as error:
            self.error = str(error)
        finally:
            self.is_over = True

    def _each(self) -> Iterator[FailedJob]:
        for each, index, raw in self._backend.scan():
            self.looked_at += 1
            if self.looked_at % STEP == 0:
                time.sleep(0)  # others have their turn
                if self.is_over or time.monotonic() - self.asked_at > UNASKED_SECONDS:
                    return
            if self.wanted.matches(glance(raw), raw):
                yield read_entry(index, raw, each.name)
        self.looked_at = self.total


class FailedSearches:
    """The searches of one program, by what they look for: pages that ask for the same share one."""

    def __init__(self, backend: RedisBackend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._searches: dict[Wanted, FailedSearch] = {}
        self._ending: list[FailedSearch] = []
        """Those that nobody finds any more, and whose threads may read a last page."""

    def of(self, wanted: Wanted, *, again: bool = True) -> FailedSearch:
        """The search for these, or a new one where that was cancelled, unless `again` is False. Of
        too many, the one that nobody has asked for the longest time is cancelled."""
        with self._lock:
            found = self._searches.get(wanted)
            if (
                found is not None
                and time.monotonic() - found.asked_at < UNASKED_SECONDS
                and not (again and found.is_cancelled)
            ):
                return found
            if found is not None:
                self._end(found)
            found = self._searches[wanted] = FailedSearch(self._backend, wanted)
            while len(self._searches) > MOST_SEARCHES:
                oldest = min(self._searches, key=lambda each: self._searches[each].asked_at)
                self._end(self._searches.pop(oldest))
            return found

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Cancel all of them, and wait until their threads have ended: before their store is
        closed, or a thread would open a new connection."""
        until = time.monotonic() + seconds
        with self._lock:
            for search in self._searches.values():
                self._end(search)
            self._searches.clear()
            ending, self._ending = self._ending, []
        for search in ending:
            search.join(max(until - time.monotonic(), 0))

    def _end(self, search: FailedSearch) -> None:
        search.cancel()
        self._ending = [each for each in (*self._ending, search) if not each.has_ended]
