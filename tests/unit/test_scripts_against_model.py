"""The scripts of worker processes against a model, in any order, with replies lost, processes dead
and declared dead: every job stands in exactly one place at any time, no policy is broken, and the
counts of jobs in flight are exact."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)

from gresque.connection.scripts import script
from gresque.errors import Fenced
from gresque.failure.entry import decode_entry, encode_entry
from gresque.jobs.crash_history import recoveries
from gresque.jobs.registry import Registry
from gresque.processes.spec import DeadProcess
from gresque.store.effects import failed, noted, pushed, put_off
from gresque.store.ledger import parse_entry
from gresque.store.recovery import Counting, Move
from gresque.store.store import Store
from gresque.worker.recovery import Recovery
from gresque.worker.turns.in_flight import ReservedJob, Settled
from gresque.worker.turns.served_lists import Takes
from tests.support.ledgers import read_ledger
from tests.support.model import LOSSES, run_model
from tests.support.policies_model import PoliciesModel
from tests.support.turn_processes import QUEUES, SLOTS, WORKER, Died, Process, id_of

TAKES = [Takes.QUEUES, Takes.QUEUES, Takes.PLACES, Takes.SUSPECTS, Takes.ONE_DEATH]


class Jobs(PoliciesModel):
    url = ""
    process_class = Process

    @initialize()
    def begin(self) -> None:
        self.store = Store(self.url, "resque")
        self.store.redis.flushall()
        self.recovery = Recovery(self.store, Registry(), "requeue", max_recoveries=3)
        self.made = 0
        self.alive: list[Process] = []
        self.dead: list[Process] = []
        """Processes that are no more, and whose ledgers may be there still."""
        self.settled: Counter[str] = Counter()
        self.kept: set[str] = set()
        """Jobs that are settled, and whose results are kept."""
        self.old_requests: list[tuple[Any, ...]] = []
        self.late_moves: list[tuple[str, list[Move], Counting]] = []
        self.started = 0
        self.begin_without_policies()
        for queue in QUEUES:
            self.enqueue(queue, 6, plain=False)
        self.start()
        self.start()

    # What others do

    @rule(queue=st.sampled_from(QUEUES), count=st.integers(1, 5), plain=st.booleans())
    def enqueue(self, queue: str, count: int, plain: bool) -> None:
        for _ in range(count):
            self.made += 1
            name = f"job {self.made}"
            raw = name if plain else json.dumps({"class": "A", "args": [], "id": name})
            self.store.enqueuer.push(queue, [raw.encode()])

    @rule(queue=st.sampled_from(QUEUES))
    def a_ruby_worker_takes_one(self, queue: str) -> None:
        raw = self.store.redis.lpop(self.store.keys.queue(queue))
        if raw is not None:
            self.settled[id_of(raw)] += 1

    @rule(most=st.integers(1, 5))
    def jobs_are_promoted(self, most: int) -> None:
        self._promote(most)

    def _promote(self, most: int) -> None:
        keys, client = self.store.keys, self.store.redis
        for member in client.zrange(keys.later, 0, most - 1):
            found = parse_entry(client.hget(keys.later_jobs, member))
            move = client.pipeline(transaction=True)
            move.rpush(found.queue_key, found.raw)
            move.zrem(keys.later, member)
            move.hdel(keys.later_jobs, member)
            move.execute()

    @rule(queue=st.sampled_from(QUEUES))
    def the_last_master_of_a_queue_leaves(self, queue: str) -> None:
        self.store.suspects.return_to_queue(queue)
        assert not self.store.redis.exists(*self.store.keys.places(queue)[:2])
        assert queue not in self.store.suspects.queues()

    # Processes

    @precondition(lambda self: len(self.alive) < 3)
    @rule()
    def start(self) -> None:
        self.started += 1
        process = self.process_class(self.url, self.store, self.started)
        self.alive.append(process)
        keys = self.store.keys
        process.line.run(
            script("register"), 7,
            keys.workers, keys.worker_started(WORKER), keys.ledgers, keys.ledger(process.name),
            keys.heartbeats, keys.processes, keys.masters,
            WORKER, "now", process.name, "now", 1000 + self.started, "0 0 0 0 0", "machine 1",
        )  # fmt: skip

    @precondition(lambda self: self.alive)
    @rule(
        data=st.data(), want=st.sampled_from([0, 1, 3, SLOTS, SLOTS + 1]),
        loss=st.sampled_from(LOSSES), takes=st.sampled_from(TAKES),
    )  # fmt: skip
    def turn(self, data: Any, want: int, loss: str, takes: Takes) -> None:
        self._turn(data.draw(st.sampled_from(self.alive)), want, loss, takes)

    def _turn(self, process: Process, want: int, loss: str, takes: Takes) -> None:
        cycle, line = process.cycle, process.line
        cycle.takes, line.loss, line.answered = takes, loss, None
        try:
            cycle.turn(want)
        except Fenced:
            self._bury(process)
        except Died:
            self._bury(process)
            if isinstance(line.answered, list) and line.answered[:1] != [b"gap"]:
                self._settle(process)
        else:
            self._settle(process)
            self._check_suspects(process, takes)
            self.check_policies(process)
            process.running += process.in_flight.ready
            process.in_flight.ready.clear()
        if line.sent is not None:
            self.old_requests.append(line.sent)

    def _check_suspects(self, process: Process, takes: Takes) -> None:
        """What comes from a list of suspects is one, and the turn says so."""
        first, ready = process.cycle.first_suspect, list(process.in_flight.ready)
        if takes in (Takes.SUSPECTS, Takes.ONE_DEATH) and ready:
            assert first == 0
            assert all(recoveries(job[2]) for job in ready)
        if first is not None:
            assert recoveries(ready[first][2]) > 0
            assert process.cycle.deaths == min(2, max(recoveries(job[2]) for job in ready[first:]))

    @precondition(lambda self: any(process.running for process in self.alive))
    @rule(
        data=st.data(),
        how=st.sampled_from(
            [
                "done",
                "done",
                "with a result",
                "fail",
                "quietly",
                "put back",
                "hand over",
                "try again",
                "try later",
                "snooze",
            ]
        ),
    )
    def jobs_end(self, data: Any, how: str) -> None:
        process = data.draw(st.sampled_from([p for p in self.alive if p.running]))
        for _ in range(data.draw(st.integers(1, len(process.running)))):
            self._end(process, process.running.pop(), how)

    def _end(self, process: Process, job: ReservedJob, how: str) -> None:
        in_flight = process.in_flight
        if how == "done":
            in_flight.done += 1
            in_flight.ended.append(job[0])
            process.done.append(id_of(job[2]))
        elif how == "with a result":
            job_id = id_of(job[2])
            result = noted(self.store.keys, job_id, "done", job_id.encode(), 60_000)
            in_flight.done += 1
            in_flight.settled.append(Settled(job, (result,)))
            in_flight.ended.append(job[0])
            process.done.append(job_id)
            process.kept.add(job_id)
        elif how == "fail":
            entry = encode_entry(job[2], "E", "e", [], "w", job[1])
            in_flight.fail(job, failed(self.store.keys.failed, entry))
        elif how == "quietly":  # as with skip_failed_queue
            in_flight.fail(job)
            process.done.append(id_of(job[2]))
        elif how == "try again":
            in_flight.put_off_job(job, pushed(self.store.keys, job[1], job[2]))
        elif how in ("try later", "snooze"):
            kind = "later" if how == "try later" else "snooze"
            # Half of them have the member of another job that waits.
            member = id_of(job[2]) if len(job[2]) % 2 else "the same"
            effect = put_off(kind, self.store.keys, job[1], 0, member, job[2])
            in_flight.put_off_job(job, effect)
        elif how == "hand over" and recoveries(job[2]):
            in_flight.hand_over(job)
        else:
            in_flight.put_back(job)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def a_process_dies(self, data: Any) -> None:
        self._bury(data.draw(st.sampled_from(self.alive)))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def a_process_leaves(self, data: Any) -> None:
        """What it holds keeps its ledger where it is."""
        process = data.draw(st.sampled_from(self.alive))
        keys = self.store.keys
        left = process.line.run(
            script("unregister"), 6,
            keys.ledgers, keys.ledger(process.name), keys.running(process.name),
            keys.commands(process.name), keys.processes, keys.vitals, process.name,
            process.cycle.number,
        )  # fmt: skip
        self._bury(process)
        if not left:
            assert process.name not in self.store.processes.ids()

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def a_process_beats(self, data: Any) -> None:
        process = data.draw(st.sampled_from(self.alive))
        keys = self.store.keys
        registered, refused, *_ = process.line.run(
            script("beat"), 9,
            keys.ledgers, keys.heartbeats, keys.workers,
            keys.worker_started(WORKER), keys.masters,
            keys.worker_stat("processed", WORKER), keys.worker_stat("failed", WORKER),
            keys.worker_stat("retried", WORKER), keys.ledger(process.name),
            process.name, WORKER, 10**6, "now", "now", 0, 0, 0, 0,
        )  # fmt: skip
        assert bool(registered) == (process.name in self.store.processes.ids())
        assert not refused

    # Recovery, of the dead and of those that are thought to be

    @precondition(lambda self: self.dead or self.alive)
    @rule(data=st.data(), blameless=st.booleans())
    def recover(self, data: Any, blameless: bool) -> None:
        process = data.draw(st.sampled_from(self.dead + self.alive))
        self.recovery.recover(DeadProcess(process.name, "gone", None, blameless))
        assert process.name not in self.store.processes.ids()

    @precondition(lambda self: self._holding())
    @rule(data=st.data(), count=st.integers(0, 3))
    def a_recovery_breaks_off(self, data: Any, count: int) -> None:
        process = data.draw(st.sampled_from(self._holding()))
        held = self.store.recovery.fence(process.name)
        dead_process = DeadProcess(process.name, "gone", None, blameless=False)
        moves = [
            self.recovery._move(dead_process, "noon", slot, entry)
            for slot, entry in list(held.entries.items())[:count]
        ]
        counting = self.recovery._counting(process.name, held.entries.values())
        self.store.recovery.move(process.name, moves, counting)
        self.late_moves.append((process.name, moves, counting))

    @precondition(lambda self: self.late_moves)
    @rule(data=st.data())
    def somebody_else_moves_the_same(self, data: Any) -> None:
        """Two that recover the same process have read the same ledger."""
        name, moves, counting = data.draw(st.sampled_from(self.late_moves))
        before = self._everywhere()
        self.store.recovery.move(name, moves, counting)
        assert self._everywhere() == before

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), count=st.integers(1, SLOTS))
    def a_good_turn(self, data: Any, count: int) -> None:
        """All that it holds ends well, and it takes others: most turns are like this one."""
        process = data.draw(st.sampled_from(self.alive))
        while process.running:
            self._end(process, process.running.pop(), "done")
        self._turn(process, count, "", Takes.QUEUES)

    @precondition(lambda self: self.old_requests)
    @rule(data=st.data())
    def an_old_request_arrives(self, data: Any) -> None:
        """The kernel may deliver what a closed connection sent, when others were served since."""
        keys, *arguments = data.draw(st.sampled_from(self.old_requests))
        before = self._everywhere()
        self.store.redis.eval(script("cycle").text, keys, *arguments)
        assert self._everywhere() == before

    # The model

    def _holding(self) -> list[Process]:
        return [p for p in self.dead + self.alive if read_ledger(self.store, p.name).entries]

    def _settle(self, process: Process) -> None:
        self.settled.update(process.done)
        self.kept |= process.kept
        process.done.clear()
        process.kept.clear()

    def _bury(self, process: Process) -> None:
        process.line.close()
        self.alive.remove(process)
        self.dead.append(process)

    def _everywhere(self) -> Counter[str]:
        """Where jobs stand: queues, ledgers, `later`, the failed list."""
        client = self.store.redis
        found: Counter[str] = Counter()
        for queue in QUEUES:
            for place in self.store.keys.places(queue):
                found.update(map(id_of, client.lrange(place, 0, -1)))
        for key in client.keys("resque:ledger:*"):
            fields = client.hgetall(key)
            fields.pop(b"state", None)
            found.update(id_of(parse_entry(value).raw) for value in fields.values())
        waiting = client.hgetall(self.store.keys.later_jobs)
        assert waiting.keys() == set(client.zrange(self.store.keys.later, 0, -1))
        found.update(id_of(parse_entry(value).raw) for value in waiting.values())
        found.update(
            id_of(decode_entry(entry).item()) for entry in client.lrange("resque:failed", 0, -1)
        )
        return found

    @invariant()
    def each_job_stands_in_one_place(self) -> None:
        assert self._everywhere() + self.settled == Counter(
            {f"job {number}": 1 for number in range(1, self.made + 1)}
        )

    @invariant()
    def each_result_is_that_of_its_job(self) -> None:
        """It is written by the script that settles the job, and by nothing else."""
        client, found = self.store.redis, set()
        for key in client.keys("resque:job:*"):
            job_id = key.decode().removeprefix("resque:job:")
            assert client.hgetall(key) == {b"s": b"done", b"d": job_id.encode()}
            assert 0 < client.pttl(key) <= 60_000
            found.add(job_id)
        assert found == self.kept

    @invariant()
    def no_suspect_goes_unnoticed(self) -> None:
        client, keys = self.store.redis, self.store.keys
        for queue in QUEUES:
            if client.exists(*keys.places(queue)[:2]):
                assert client.sismember(keys.suspects, queue)

    def teardown(self) -> None:
        """Whatever has happened, the living end it, and nothing is left."""
        if not hasattr(self, "store"):
            return
        for process in [*self.dead, *self.alive]:
            self.recovery.recover(DeadProcess(process.name, "gone", None, blameless=True))
        for process in self.alive:
            process.line.close()
        self.alive.clear()
        self.end_policies()
        last = self._last()
        self._promote(10**6)
        for takes in (Takes.SUSPECTS, Takes.QUEUES):
            last.cycle.takes = takes
            while last.cycle.turn(SLOTS) or last.in_flight.held:
                for job in last.in_flight.ready:
                    last.in_flight.done += 1
                    last.in_flight.ended.append(job[0])
                    last.done.append(id_of(job[2]))
                last.in_flight.ready.clear()
                last.cycle.turn(0)
                self._settle(last)
        self.each_job_stands_in_one_place()
        client = self.store.redis
        self.no_count_is_left()
        assert not any(client.exists(*self.store.keys.places(queue)) for queue in QUEUES)
        for queue in QUEUES:  # as at the end of a master
            self.store.suspects.return_to_queue(queue)
        assert not client.exists("resque:suspects")
        self.a_last_one_leaves(last)
        self.store.close()

    def _last(self) -> Process:
        self.start()
        return self.alive[-1]

    def a_last_one_leaves(self, last: Process) -> None:
        keys = self.store.keys
        left = last.line.run(
            script("unregister"), 6,
            keys.ledgers, keys.ledger(last.name), keys.running(last.name),
            keys.commands(last.name), keys.processes, keys.vitals, last.name, last.cycle.number,
        )  # fmt: skip
        last.line.close()
        assert left == 0
        self.store.workers.unregister(WORKER)
        keys_left = set(self.store.redis.keys())
        kept = {b"resque:queues", b"resque:failed", b"resque:stat:processed",
                b"resque:stat:failed", b"resque:stat:retried", b"resque:recoveries"}  # fmt: skip
        expiring = {key for key in keys_left if self.store.redis.ttl(key) >= 0}
        assert keys_left - expiring <= kept


@pytest.fixture
def machine(redis_url: str) -> type[Jobs]:
    return type("JobsOnValkey", (Jobs,), {"url": redis_url})


def test_jobs_are_neither_lost_nor_doubled(
    machine: type[Jobs], caplog: pytest.LogCaptureFixture
) -> None:
    run_model(machine, caplog)
