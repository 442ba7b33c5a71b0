"""The scripts of worker processes against a model, with a server that forgets its last moments."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import invariant, precondition, rule

from gresque.failure.entry import decode_entry
from gresque.worker.turns.in_flight import ReservedJob
from gresque.worker.turns.served_lists import Takes
from tests.support.model import run_model
from tests.support.snapshot import Snapshot
from tests.support.turn_processes import SLOTS, LastingProcess, Process, id_of
from tests.unit.test_scripts_against_model import Jobs


class Moment(NamedTuple):
    snapshot: Snapshot
    made: int


class ForgottenJobs(Jobs):
    """Jobs may run twice now. None is lost but those that were enqueued in the forgotten moments,
    and every failure of a process that lives on stands among the failed."""

    process_class = LastingProcess

    @rule(back=st.integers(1, 12), skip=st.integers(0, 3))
    @precondition(lambda self: len(self.moments) > 1)
    def the_server_forgets(self, back: int, skip: int) -> None:
        self._forget(self.moments[max(len(self.moments) - 1 - back, 0)], skip)

    @rule(
        data=st.data(), hows=st.lists(
            st.sampled_from(
                ["fail", "put back", "done", "with a result", "try later", "snooze", "try again"]
            ),
            max_size=4,
        ),
        skip=st.integers(0, 3),
    )  # fmt: skip
    @precondition(lambda self: self.alive)
    def the_server_forgets_how_jobs_ended(self, data: Any, hows: list[str], skip: int) -> None:
        process, before = data.draw(st.sampled_from(self.alive)), self.moments[-1]
        for how in hows:
            while process.running:
                self._end(process, process.running.pop(), how)
            self._turn(process, SLOTS, "", Takes.QUEUES)
            if process not in self.alive:
                break
        self._forget(before, skip)

    def _forget(self, moment: Moment, skip: int) -> None:
        del self.moments[self.moments.index(moment) + 1 :]
        moment.snapshot.restore(self.store.redis)
        self.forgotten.update(f"job {n}" for n in range(moment.made + 1, self.made + 1))
        self.old_requests.clear()  # what an old connection carries comes to the old server
        self.late_moves.clear()
        self.rates_were_forgotten()
        self.skip = skip

    def _turn(self, process: Process, want: int, loss: str, takes: Takes) -> None:
        process.line.skip = self.skip
        self.skip, number = 0, process.cycle.number
        super()._turn(process, want, loss, takes)
        assert process.cycle.number >= number
        process.line.loss, process.line.skip = "", 0

    def _end(self, process: Process, job: ReservedJob, how: str) -> None:
        if how == "fail":
            self.failures[process.name].add(id_of(job[2]))
        elif how == "with a result":
            self.results[process.name].add(id_of(job[2]))
        super()._end(process, job, how)

    @rule(data=st.data())
    @precondition(lambda self: self.alive)
    def a_process_beats(self, data: Any) -> None:
        """Whether it is registered changes with what the server remembers."""

    @invariant()
    def each_job_stands_in_one_place(self) -> None:
        found = self._everywhere() + self.settled
        for process in self.alive:
            found.update(id_of(job[2]) for job in process.cycle.held())
        wanted = {f"job {number}" for number in range(1, self.made + 1)} - self.forgotten
        assert not wanted - set(found)

    @invariant()
    def each_result_is_that_of_its_job(self) -> None:
        """A job that runs again may have none yet; `teardown` looks which are missing."""
        client, written = self.store.redis, set().union(*self.results.values())
        for key in client.keys("resque:job:*"):
            job_id = key.decode().removeprefix("resque:job:")
            assert client.hgetall(key) == {b"s": b"done", b"d": job_id.encode()}
            assert 0 < client.pttl(key) <= 60_000
            assert job_id in written

    @invariant()
    def note_the_moment(self) -> None:
        self.moments.append(Moment(Snapshot(self.store.redis), self.made))

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        for process in list(self.alive):
            self._turn(process, 0, "", Takes.QUEUES)
            self._turn_until_settled(process)
        entries = self.store.redis.lrange("resque:failed", 0, -1)
        listed = {id_of(decode_entry(entry).item()) for entry in entries}
        for process in self.alive:
            assert self.failures[process.name] <= listed
            keys = {f"resque:job:{job_id}" for job_id in self._gone(process)}
            assert not keys or self.store.redis.exists(*keys) == len(keys)
        super().teardown()

    def _gone(self, process: Process) -> set[str]:
        """Jobs that this process has ended with a result, and that do not run again."""
        return self.results[process.name] - set(self._everywhere())

    def _turn_until_settled(self, process: Process) -> None:
        if process in self.alive:
            self._turn(process, 0, "", Takes.QUEUES)


@pytest.fixture
def machine(redis_url: str) -> type[Jobs]:
    class Machine(ForgottenJobs):
        url = redis_url

        def __init__(self) -> None:
            super().__init__()
            self.moments: list[Moment] = []
            self.forgotten: set[str] = set()
            self.failures: defaultdict[str, set[str]] = defaultdict(set)
            self.results: defaultdict[str, set[str]] = defaultdict(set)
            self.skip = 0

    return Machine


def test_what_a_server_forgets_is_not_lost(
    machine: type[Jobs], caplog: pytest.LogCaptureFixture
) -> None:
    run_model(machine, caplog)
