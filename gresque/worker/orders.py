"""The orders that a worker process gets by signals and from its master."""

from __future__ import annotations

from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Ending
from gresque.processes.spec import ProcessSpec
from gresque.processes.state import ProcessState
from gresque.worker.shutdown import Shutdown
from gresque.worker.threads.kills import KILLED_BY_USR1
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.turns.demand import Demand
from gresque.worker.turns.in_flight import InFlight
from gresque.worker.turns.wakeup import Wakeup


class Orders:
    """Carries orders out, and notes how far the master's orders on the scoreboard are carried out:
    a signal may be lost in a job's own handler (see `MasterWishes`)."""

    def __init__(
        self,
        spec: ProcessSpec,
        in_flight: InFlight,
        pool: ThreadPool,
        demand: Demand,
        shutdown: Shutdown,
        wakeup: Wakeup,
    ) -> None:
        self._row = spec.row
        self._tell_master = spec.tell_master
        self._term_timeout = spec.settings.term_timeout
        self._in_flight = in_flight
        self._thread_pool = pool
        self._demand = demand
        self._shutdown = shutdown
        self._wakeup = wakeup
        self.ending = Ending.NONE
        """How this process leaves; while it boots, its state does not say so yet."""
        spec.row.kills_done = spec.row.kills
        self.pause_seen = spec.row.paused
        self._awaits_call = spec.kind is Kind.STANDBY

    def come_to_work(self) -> None:
        """The process has booted: do what was ordered meanwhile, or take jobs."""
        row = self._row
        if self.ending is not Ending.NONE:
            row.enter(ProcessState.DRAINING)
        elif row.stands_by:
            row.enter(ProcessState.STANDING_BY)
        elif row.state is ProcessState.REGISTERED:
            row.enter(ProcessState.PAUSED if row.paused else ProcessState.READY)

    def quit(self) -> None:
        """Take no new jobs; leave when the running ones have ended."""
        self.ending = max(self.ending, Ending.QUIT)
        if self._row.enter(ProcessState.DRAINING):
            self._tell_master()
            self._in_flight.give_back_ready()
        self._wakeup.set()

    def terminate(self) -> None:
        """Leave now: the running jobs are killed, and go back to their queues or fail."""
        self.quit()
        self.ending = Ending.TERMINATE
        if not self._shutdown.has_begun:
            # A little before the master's SIGKILL, to log what is left behind.
            self._shutdown.begin(max(self._term_timeout - 1, 0))
            self._thread_pool.kill_jobs("shutdown", requeue=True)

    def kill_jobs(self) -> None:
        """End the running jobs, which fail: an operator means them. Go on with others."""
        self._row.kills_done = self._row.kills
        self._thread_pool.kill_jobs(KILLED_BY_USR1, requeue=False)
        self.resume()  # a kill ends a pause

    def pause(self) -> None:
        """Take no new jobs until `resume`; jobs that run go on."""
        self.pause_seen = self._row.paused
        # One that retires takes none anyway, and may be about to write that it has left.
        if not self._row.stands_by and self._row.state is not ProcessState.RETIRING:
            self._row.enter(ProcessState.PAUSED)
        self._in_flight.give_back_ready()
        self._wakeup.set()

    def resume(self) -> None:
        """Take jobs again; or, having stood by and been called, for the first time."""
        row = self._row
        self.pause_seen = row.paused
        self._demand.is_dry = False
        called = self._awaits_call and not row.stands_by
        self._awaits_call = self._awaits_call and row.stands_by
        if row.state is ProcessState.PAUSED:
            # The CONT of the call may come after the USR2 of a pause: both waited during the boot.
            if not (called and row.paused):
                row.enter(ProcessState.READY)
        elif row.state is ProcessState.STANDING_BY and not row.stands_by:
            row.enter(ProcessState.PAUSED if row.paused else ProcessState.READY)
        self._wakeup.set()
