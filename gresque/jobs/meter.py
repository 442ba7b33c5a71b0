"""Meters: what the jobs of one class from one queue did in this process."""

from __future__ import annotations

from gresque.store.metric_fields import BUCKETS, OTHERS, SHORT_SECONDS, bucket_of, field

MOST_EXCEPTIONS = 20
"""Of one class from one queue; others count together."""


class Meter:
    """Counts that only ever grow: each has a note of what was taken of it, so no thread
    has to wait for another one. The loop of a thread adds to `done` itself."""

    __slots__ = (
        "_fields", "_taken", "_written", "done", "exceptions", "failed", "job", "ms", "owner",
        "queue", "retried", "times",
    )  # fmt: skip

    def __init__(self, queue: str | None, job: str) -> None:
        self.queue = queue
        self.job = job
        self.done = self.failed = self.retried = 0
        self.ms = 0
        """How long the runs took that are in `times`."""
        self.times: list[int] | None = None
        """Runs of 5 ms or more, by the bucket of their time."""
        self.exceptions: dict[str, int] = {}
        self.owner: object = None
        """The definition that has it, if one does."""
        self._taken = 0
        self._written: dict[str, int] = {}
        self._fields: tuple[str, ...] = ()

    def note_time(self, seconds: float) -> None:
        bucket = bucket_of(seconds)
        if bucket:
            if self.times is None:
                self.times = [0] * BUCKETS
            self.times[bucket] += 1
            self.ms += int(seconds * 1000)

    def note_failure(self, exception: str, seconds: float, *, retried: bool) -> None:
        if retried:
            self.retried += 1
        else:
            self.failed += 1
        if seconds > SHORT_SECONDS:
            self.note_time(seconds)
        known = self.exceptions
        if exception not in known:
            if len(known) >= MOST_EXCEPTIONS:
                exception = OTHERS
            known.setdefault(exception, 0)
        known[exception] += 1

    @property
    def is_written(self) -> bool:
        """Whether nothing has ended since `take` was called."""
        return self.done + self.failed + self.retried == self._taken

    def take(self, counts: dict[str, int], times: dict[str, int]) -> None:
        """Add what has come since the last call to the fields of minutes and of histograms."""
        queue, job, written = self.queue or "", self.job, self._written
        if not self._fields:
            self._fields = tuple(field(kind, queue, job) for kind in "dfrs")
        now = self.done, self.failed, self.retried, self.ms
        self._taken = sum(now[:3])
        attempts = 0
        for place, (name, count) in enumerate(zip(self._fields, now, strict=True)):
            new = count - written.get(name, 0)
            if new:
                counts[name] = counts.get(name, 0) + new
                written[name] = count
                attempts += new if place < 3 else 0
        for exception, count in [*self.exceptions.items()]:
            name = field("x", queue, job, exception)
            new = count - written.get(name, 0)
            if new:
                counts[name] = counts.get(name, 0) + new
                written[name] = count
        self._take_times(times, attempts)

    def _take_times(self, times: dict[str, int], attempts: int) -> None:
        short = attempts
        for bucket, count in enumerate(self.times or ()):
            name = field("t", self.job, str(bucket))
            new = count - self._written.get(name, 0)
            if new:
                times[name] = times.get(name, 0) + new
                self._written[name] = count
                short -= new
        if short:
            name = field("t", self.job, "0")
            times[name] = times.get(name, 0) + short


NO_METER = Meter(None, "")
"""That of a class none of whose jobs was met: no queue is its."""
