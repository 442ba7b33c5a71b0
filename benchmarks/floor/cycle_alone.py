"""The cycle alone: gresque's own turns, by its own script, and a bare loop that decodes and calls
their jobs. No threads, no pool, no definitions, no kills, no hooks, no failures.

    python -m benchmarks.floor.cycle_alone THREADS
"""

from __future__ import annotations

import os
import sys

import msgspec

from benchmarks.floor.least_cycle import Payload, noop
from benchmarks.peers import body
from gresque.queue_list import QueueList
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.turns.cycle import Cycle
from gresque.worker.turns.in_flight import InFlight

decode = msgspec.json.Decoder(Payload).decode


def main(threads: int) -> None:
    keys, process = Keys("resque"), f"floor:{os.getpid()}"
    in_flight = InFlight(Totals(), keys)
    cycle = Cycle(
        body.REDIS_URL,
        keys,
        in_flight,
        "floor",
        process,
        QueueList.parse("floors"),
        slots=threads,
        pause=lambda _: False,
        revive=lambda *_: False,
        running=list,
    )
    cycle.connect()
    state = " ".join(map(str, (0, *Totals())))
    cycle.connection.call(b"HSET", keys.ledger(process), b"state", state)
    functions, ready = {"noop": noop}, in_flight.ready
    while cycle.turn(threads):
        for slot, _, raw in ready:
            call = decode(raw)
            functions[call.name](*call.args)
            in_flight.ended.append(slot)
        in_flight.done += len(ready)
        ready.clear()


if __name__ == "__main__":
    main(int(sys.argv[1]))
