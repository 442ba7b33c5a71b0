"""Unique jobs against a model, in any order, with replies lost and processes dead: no trigger is
lost, no two jobs run that exclude each other, every lock names a job that stands somewhere, and
none is left at the end."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from gresque.connection.scripts import script
from gresque.errors import Fenced
from gresque.jobs import by_hand, payload
from gresque.jobs.ends import Attempt, End, EndedJob, EndRules, effects_of
from gresque.jobs.ids import new_id
from gresque.jobs.registry import Registry
from gresque.jobs.retry_policy import Again
from gresque.processes.spec import DeadProcess
from gresque.store.ledger import parse_entry
from gresque.store.store import Store
from gresque.store.unique_job import Terms, UniqueJob
from gresque.worker.recovery import Recovery
from gresque.worker.turns.in_flight import ReservedJob
from gresque.worker.turns.served_lists import Takes
from tests.support.model import LOSSES, run_model
from tests.support.turn_processes import QUEUES, SLOTS, WORKER, Died, Process

KINDS = ["queued drop", "queued replace", "both drop", "both again", "both replace", "running drop"]
HOWS = ["done", "done", "fail", "retry", "retry at once", "shutdown"]
DAY = 86_400_000


class Name(NamedTuple):
    """What jobs have in common that exclude each other."""

    kind: str

    @property
    def mode(self) -> str:
        return self.kind.partition(" ")[0]

    @property
    def on_duplicate(self) -> str:
        return self.kind.partition(" ")[2]

    @property
    def digest(self) -> str:
        return f"{KINDS.index(self.kind):032x}"

    @property
    def sees_all(self) -> bool:
        """Every trigger is followed by a run that begins after it."""
        return self.mode == "queued" or self.on_duplicate != "drop"


class Found(NamedTuple):
    id: str
    name: Name
    number: int


def read(raw: bytes) -> Found:
    fields = json.loads(raw)
    kind, number = fields["args"]
    return Found(fields["id"], Name(kind), number)


class UniqueJobs(RuleBasedStateMachine):
    url = ""

    @initialize()
    def begin(self) -> None:
        self.store = Store(self.url, "resque")
        self.client = self.store.redis
        self.client.flushall()
        self.rules = EndRules(self.store.keys)
        self.recovery = Recovery(self.store, Registry(), "requeue", max_recoveries=0)
        self.alive: list[Process] = []
        self.dead: list[Process] = []
        self.made = self.moment = self.started = 0
        self.triggers: dict[Name, tuple[int, int]] = {}
        """When the last one came, and its number."""
        self.starts: defaultdict[Name, list[tuple[int, int]]] = defaultdict(list)
        self.owed: set[str] = set()
        """Jobs that were enqueued and have never started."""
        self.perhaps_started: set[str] = set()
        """So they may have no lock any more, with mode `queued`."""
        self.a_process_starts()
        self.a_process_starts()

    # What others do

    @rule(
        kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5),
        queue=st.sampled_from(QUEUES), delay=st.sampled_from([0, 0, 0, 3_600_000]),
    )  # fmt: skip
    def triggers_come(self, kinds: list[str], queue: str, delay: int) -> None:
        for kind in kinds:
            self._trigger(Name(kind), queue, delay)

    def _trigger(self, name: Name, queue: str, delay: int) -> None:
        self.made += 1
        self.moment += 1
        mark = [name.digest, name.mode, *(["replace"] if name.on_duplicate == "replace" else [])]
        job_id = new_id()
        args = (name.kind, self.made)
        raw = payload.encode("U", args, None, job_id, envelope={"unique": mark})
        self.triggers[name] = self.moment, self.made
        if name.mode == "running":
            self.store.enqueuer.push(queue, [raw])
            holder = None
        else:
            terms = Terms("in", name.mode, name.on_duplicate, "U", DAY)
            job = UniqueJob(job_id, delay, str(name), name.digest, raw)
            (holder,) = self.store.unique_enqueuer.enqueue(queue, terms, [job])
        if holder is None:
            self.owed.add(job_id)

    @precondition(lambda self: self.client.exists(self.store.keys.later))
    @rule(most=st.integers(1, 4))
    def jobs_are_promoted(self, most: int) -> None:
        """Whether or not they are due."""
        keys = self.store.keys
        for member in self.client.zrange(keys.later, 0, most - 1):
            found = parse_entry(self.client.hget(keys.later_jobs, member))
            move = self.client.pipeline(transaction=True)
            move.rpush(found.queue_key, found.raw)
            move.zrem(keys.later, member)
            move.hdel(keys.later_jobs, member)
            move.execute()

    @rule(data=st.data(), queue=st.sampled_from(QUEUES))
    def one_is_taken_out_of_its_queue(self, data: Any, queue: str) -> None:
        waiting = self.client.lrange(self.store.keys.queue(queue), 0, -1)
        if not waiting:
            return
        raw = data.draw(st.sampled_from(waiting))
        assert by_hand.take_out(self.store, queue, [raw]) == 1
        found = read(raw)
        self.owed.discard(found.id)
        self.triggers.pop(found.name, None)  # it was perhaps to see the last one

    # Processes

    @precondition(lambda self: len(self.alive) < 3)
    @rule()
    def a_process_starts(self) -> None:
        self.started += 1
        process = Process(self.url, self.store, self.started)
        self.alive.append(process)
        keys = self.store.keys
        process.line.run(
            script("register"), 7,
            keys.workers, keys.worker_started(WORKER), keys.ledgers, keys.ledger(process.name),
            keys.heartbeats, keys.processes, keys.masters,
            WORKER, "now", process.name, "now", 1000 + self.started, "0 0 0 0 0", "machine 1",
        )  # fmt: skip

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), want=st.sampled_from([0, 1, 3, SLOTS]), loss=st.sampled_from(LOSSES))
    def turn(self, data: Any, want: int, loss: str) -> None:
        self._turn(data.draw(st.sampled_from(self.alive)), want, loss)

    def _turn(self, process: Process, want: int, loss: str = "") -> None:
        process.cycle.takes, process.line.loss = Takes.PLACES, loss
        try:
            process.cycle.turn(want)
        except (Died, Fenced):
            self._bury(process)
        process.line.loss = ""

    @precondition(lambda self: self.alive)
    @rule(
        data=st.data(), loss=st.sampled_from(LOSSES), late=st.sampled_from(["", *KINDS]),
        how=st.sampled_from(["", *HOWS]),
    )  # fmt: skip
    def a_process_works(self, data: Any, loss: str, late: str, how: str) -> None:
        """A turn, the start of its jobs, and their ends: most of its life. Meanwhile a trigger may
        come."""
        process = data.draw(st.sampled_from(self.alive))
        self._turn(process, SLOTS)
        self._look(process)
        if late:
            self._trigger(Name(late), "a", 0)
        if process.in_flight.starting:
            self._start(process, loss)
        if process in self.alive:
            self._look(process)
            while how and process.running:
                self._end(process, process.running.pop(0), how)

    def _look(self, process: Process) -> None:
        ready = process.in_flight.ready
        while ready:
            job = ready.popleft()
            if not process.in_flight.waits_for_start(job):
                self._begin(process, job)

    @precondition(lambda self: self._with("starting"))
    @rule(data=st.data(), loss=st.sampled_from(LOSSES), looks=st.booleans())
    def start(self, data: Any, loss: str, looks: bool) -> None:
        process = data.draw(st.sampled_from(self._with("starting")))
        self._start(process, loss)
        if looks and process in self.alive:
            self._look(process)

    def _start(self, process: Process, loss: str = "") -> None:
        self.perhaps_started |= {read(job[2]).id for job in process.in_flight.starting}
        process.line.loss = loss
        try:
            assert process.cycle.starter.start()
        except Died:
            self._bury(process)
        process.line.loss = ""

    def _begin(self, process: Process, job: ReservedJob) -> None:
        found = read(job[2])
        if found.name.mode != "queued":
            running = [read(each[2]).name for other in self.alive for each in other.running]
            assert found.name not in running
        process.running.append(job)
        self.moment += 1
        self.starts[found.name].append((self.moment, found.number))
        self.owed.discard(found.id)
        self.perhaps_started.add(found.id)

    @precondition(lambda self: self._with("ready") + self._with("starting"))
    @rule(data=st.data())
    def what_no_thread_runs_is_given_back(self, data: Any) -> None:
        with_some = self._with("ready") + self._with("starting")
        data.draw(st.sampled_from(with_some)).in_flight.give_back_ready()

    @precondition(lambda self: any(process.running for process in self.alive))
    @rule(data=st.data(), how=st.sampled_from(HOWS))
    def a_job_ends(self, data: Any, how: str) -> None:
        process = data.draw(st.sampled_from([each for each in self.alive if each.running]))
        place = data.draw(st.integers(0, len(process.running) - 1))
        self._end(process, process.running.pop(place), how)

    def _end(self, process: Process, job: ReservedJob, how: str) -> None:
        in_flight, ended = process.in_flight, EndedJob(job[1], job[2])
        if how == "done":
            in_flight.done += 1
            in_flight.ended.append(job[0])
        elif how == "fail":
            ending = effects_of(ended, End.FAILED, None, self.rules, lambda way, raw: b"entry")
            in_flight.fail(job, *ending.effects)
        elif how == "shutdown":
            ending = effects_of(ended, End.CUT_SHORT, None, self.rules)
            in_flight.put_back(job, *ending.effects)
        else:
            again = Again(60.0 if how == "retry" else 0.0, counts=True)
            attempt = Attempt("E", "no", 1.8e9, again)
            ending = effects_of(ended, End.FAILED, None, self.rules, None, attempt)
            in_flight.put_off_job(job, *ending.effects)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def a_process_dies(self, data: Any) -> None:
        self._bury(data.draw(st.sampled_from(self.alive)))

    @precondition(lambda self: self.dead)
    @rule(data=st.data(), blameless=st.booleans())
    def recover(self, data: Any, blameless: bool) -> None:
        self._recover(data.draw(st.sampled_from(self.dead)), blameless=blameless)

    def _recover(self, process: Process, *, blameless: bool = True) -> None:
        self.dead.remove(process)
        self.recovery.recover(DeadProcess(process.name, "gone", None, blameless))

    # The model

    def _with(self, where: str) -> list[Process]:
        return [process for process in self.alive if getattr(process.in_flight, where)]

    def _bury(self, process: Process) -> None:
        process.line.close()
        process.running.clear()
        self.alive.remove(process)
        self.dead.append(process)

    def _everywhere(self) -> dict[str, Name]:
        keys, raws = self.store.keys, []
        for queue in QUEUES:
            for place in keys.places(queue):
                raws += self.client.lrange(place, 0, -1)
        held = list(self.client.hvals(keys.later_jobs))
        for ledger in self.client.keys(keys.ledger("*")):
            fields = self.client.hgetall(ledger)
            held += [value for name, value in fields.items() if name != b"state"]
        found = [read(raw) for raw in [*raws, *(parse_entry(entry).raw for entry in held)]]
        assert len({each.id for each in found}) == len(found)
        return {each.id: each.name for each in found}

    def _locks(self) -> dict[str, dict[bytes, bytes]]:
        prefix = self.store.keys.unique("")
        names = (key.decode() for key in self.client.keys(prefix + "?" * 32))
        return {name.removeprefix(prefix): self.client.hgetall(name) for name in names}

    @invariant()
    def locks_and_jobs_agree(self) -> None:
        jobs, locks = self._everywhere(), self._locks()
        for digest, fields in locks.items():
            holder = fields[b"id"].decode()
            assert jobs[holder].digest == digest
        names = list(jobs.values())
        for job_id, name in jobs.items():
            if name.mode == "both":
                assert names.count(name) == 1
            if name.mode == "both" or (
                name.mode == "queued" and job_id not in self.perhaps_started
            ):
                assert locks[name.digest][b"id"].decode() == job_id
        assert self.owed <= jobs.keys() | self._following(locks)

    def _following(self, locks: dict[str, dict[bytes, bytes]]) -> set[str]:
        """Runs that stand in the lock of another job."""
        return {fields[b"again_id"].decode() for fields in locks.values() if b"again_id" in fields}

    def teardown(self) -> None:
        """Whatever has happened, what is left ends well, and no lock is left."""
        if not hasattr(self, "store"):
            return
        for process in list(self.alive):
            self._bury(process)
        for process in list(self.dead):
            self._recover(process)
        self.a_process_starts()
        (last,) = self.alive
        for _ in range(1000):
            self.jobs_are_promoted(10**6)
            self._turn(last, SLOTS)
            self._look(last)
            self._start(last)
            self._look(last)
            while last.running:
                self._end(last, last.running.pop(0), "done")
            if not (last.in_flight.held or self._everywhere()):
                break
        assert not self._everywhere() and not self.client.keys(self.store.keys.unique("*"))
        assert not self.owed
        for name, (moment, number) in self.triggers.items():
            after = [seen for began, seen in self.starts[name] if began > moment]
            assert after or not name.sees_all
            if name.on_duplicate in ("replace", "again"):
                assert number in after
        last.line.close()
        self.store.close()


@pytest.fixture
def machine(redis_url: str) -> type[UniqueJobs]:
    return type("UniqueJobsOnValkey", (UniqueJobs,), {"url": redis_url})


def test_no_trigger_is_lost_and_no_lock_stays(
    machine: type[UniqueJobs], caplog: pytest.LogCaptureFixture
) -> None:
    run_model(machine, caplog)
