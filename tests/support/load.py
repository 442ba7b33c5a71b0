"""A steady load of jobs while servers die, and what became of each of them.

The jobs note their starts and ends in a file, beside Redis, as those of benchmarks/chaos.py do."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import gresque
from benchmarks.chaos_notes import Note, longest_silence, notes_of
from gresque.errors import NotEnqueued, PerhapsEnqueued

JOBS = "benchmarks.chaos_jobs"
QUEUE = "bench"
FAILING = 10
"""Of this number of jobs one fails."""


@dataclass
class Outcome:
    """What became of the jobs whose enqueue was confirmed. Each count has keys of jobs."""

    confirmed: int
    lost: set[str]
    """They never ran to their end."""
    twice: set[str]
    """They ended more than once."""
    failures: int
    """Jobs that failed."""
    failures_missing: set[str]
    """The jobs that failed without an entry in the failed list."""
    silence_seconds: float
    """The longest time in which no job ended."""


@dataclass
class Load:
    """Enqueues numbered jobs, `per_second` of them, from some threads. Its life: `begin`, `end`,
    and when the queue is empty `outcome`."""

    client: gresque.Client
    tally: Path
    per_second: float
    seconds: float = 0.01
    """Of each job."""
    threads: int = 4
    confirmed: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    """Their enqueue raised PerhapsEnqueued."""
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tally.touch()
        self._made = 0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._running: list[threading.Thread] = []
        self._errors: list[BaseException] = []
        self.since = self.until = time.monotonic()

    @property
    def env(self) -> dict[str, str]:
        """For the workers."""
        return {"CHAOS_TALLY": str(self.tally)}

    def begin(self) -> Load:
        """Returns when the first job has ended."""
        self._running = [threading.Thread(target=self._run) for _ in range(self.threads)]
        for thread in self._running:
            thread.start()
        deadline = time.monotonic() + 60
        while not any(note.event == "end" for note in self.notes()):
            assert time.monotonic() < deadline and not self._errors, self._errors
            time.sleep(0.02)
        self.since = time.monotonic()
        return self

    def burst(self, count: int, threads: int = 8) -> list[threading.Thread]:
        """Enqueue this number one by one, beside the others; returns the threads to join."""

        def some() -> None:
            for _ in range(count // threads):
                self.enqueue()

        made = [threading.Thread(target=some) for _ in range(threads)]
        for thread in made:
            thread.start()
        self._running += made
        return made

    def end(self) -> None:
        """Returns when each enqueue that is under way has ended."""
        self.until = time.monotonic()
        self._end.set()
        for thread in self._running:
            thread.join()
        assert not self._errors, self._errors

    def _run(self) -> None:
        pause = self.threads / self.per_second
        due = time.monotonic()
        try:
            while not self._end.is_set():
                self.enqueue()
                due = max(due + pause, time.monotonic() - 1)
                self._end.wait(max(due - time.monotonic(), 0))
        except BaseException as error:
            self._errors.append(error)

    def enqueue(self) -> None:
        with self._lock:
            self._made += 1
            number = self._made
        key = f"fails-{number}" if number % FAILING == 0 else f"job-{number}"
        name = "ChaosFails" if number % FAILING == 0 else "Chaos"
        try:
            self.client.enqueue_to(QUEUE, name, key, self.seconds)
        except PerhapsEnqueued:
            self.unsure.append(key)
        except NotEnqueued:
            self.refused.append(key)
        else:
            self.confirmed.append(key)

    def notes(self) -> list[Note]:
        text = self.tally.read_text()
        return notes_of(text[: text.rfind("\n") + 1])

    def outcome(self, failed: list[bytes]) -> Outcome:
        """`failed`: the entries of the failed list."""
        notes = self.notes()
        ends = Counter(note.key for note in notes if note.event == "end")
        failed_keys = {key for key in ends if key.startswith("fails-")}
        listed = {json.loads(entry)["payload"]["args"][0] for entry in failed}
        return Outcome(
            len(self.confirmed),
            set(self.confirmed) - ends.keys(),
            {key for key, count in ends.items() if count > 1},
            len(failed_keys),
            failed_keys - listed,
            longest_silence(notes, self.since, self.until),
        )
