"""How many jobs one turn may reserve. Pure arithmetic.

A process must reserve only what it can start now: what it holds unstarted, no other process can
take, and a job of a higher queue waits behind it. A fixed batch of 100 jobs that burn 10 ms each is
a second of such waiting; so the batch follows what jobs have been costing.

Where Redis is far away or slow, a job waits for its answer anyway, and 10 ms of work a trip would
leave the CPU at rest: there a batch may hold as much work as a trip takes.
"""

from __future__ import annotations

from collections import deque

from gresque.worker.turns.due import Pace

BATCH_CPU_SECONDS = 0.010
"""A batch may hold this much work for the CPU; a higher-priority job waits no longer."""
LARGEST_BATCH_CPU_SECONDS = 1.0
"""However long Redis takes to answer."""
TRIPS = 4
"""The quickest of this many counts as what a trip takes: others waited for the CPU, or through an
outage."""
TURNS = 16
"""Of this many the cheapest one tells what a turn costs by itself."""

MOST_IN_RESERVE = 256
RESERVE_SECONDS = 0.005
"""What is held in reserve starts within this time: else another process would start it sooner."""
RATE_WINDOW_SECONDS = 0.05
"""Long enough that some jobs which happen to end together do not look like fast ones."""
FIRST_BATCH = 8
_WEIGHT = 0.3  # of the newest turn in a moving average
_KEPT = 1 - _WEIGHT


class BatchSize:
    """Starts at 8 jobs, at most doubles per turn, and stays under 10 ms of CPU per batch, or under
    what a trip to Redis takes."""

    def __init__(self) -> None:
        self.limit = FIRST_BATCH
        self._trips: deque[float] = deque(maxlen=TRIPS)
        self._turns: deque[float] = deque(maxlen=TURNS)
        self._trip_seconds = 0.0
        self._unassigned_cpu = 0.0
        self._cpu = self._jobs = 0.0
        self._jobs_per_second = 0.0
        self._window_jobs, self._window_seconds = 0, 0.0

    def note_turn(self, cpu_seconds: float, wall_seconds: float) -> None:
        """What a turn took; the threads that ran meanwhile count in."""
        self._trips.append(wall_seconds - cpu_seconds)
        self._turns.append(cpu_seconds)
        self._trip_seconds += _WEIGHT * (wall_seconds - self._trip_seconds)

    def pace(self) -> Pace:
        """What has been measured. The cheapest of the last turns tells what a turn costs by itself:
        beside it the fewest jobs ran."""
        turn, quickest = min(self._turns, default=0.0), min(self._trips, default=0.0)
        return Pace(self._jobs_per_second, self._trip_seconds, turn, self.reserve, quickest)

    def note(self, cpu_seconds: float, wall_seconds: float, started: int, ended: int) -> None:
        """Note the time since the last call. A job counts half where it starts and half where it
        ends: of jobs that run for minutes, many start long before the first one ends."""
        self._unassigned_cpu += cpu_seconds
        self._window_jobs += ended
        self._window_seconds += wall_seconds
        if self._window_seconds >= RATE_WINDOW_SECONDS:
            self._jobs_per_second = self._window_jobs / self._window_seconds
            self._window_jobs, self._window_seconds = 0, 0.0
        if not started and not ended:
            return
        # Sums, and not a mean of what a job cost in each turn: a turn with one job says little.
        self._cpu = _KEPT * self._cpu + self._unassigned_cpu
        self._jobs = _KEPT * self._jobs + (started + ended) / 2
        self._unassigned_cpu = 0.0
        trip = min(self._trips, default=0.0)
        budget = min(max(BATCH_CPU_SECONDS, trip), LARGEST_BATCH_CPU_SECONDS)
        affordable = int(budget / max(self._cpu / self._jobs, 1e-7))
        self.limit = max(1, min(self.limit * 2, affordable))

    @property
    def reserve(self) -> int:
        """How many jobs a process may hold beside those that its threads run.

        A thread that ends a job then finds the next one here, and nothing waits for a trip to
        Redis. Only as many as start within 5 ms at the rate at which jobs have been ending.
        """
        return min(int(self._jobs_per_second * RESERVE_SECONDS), MOST_IN_RESERVE)


def most_held(threads: int, jobs_per_fork: int) -> int:
    """A process with this many threads never holds more jobs."""
    return threads + min(MOST_IN_RESERVE, jobs_per_fork)
