"""The least cycle: reserve a batch by a script of its own, the shortest, call its jobs in a bare
loop, settle them with the next batch. No effects, no suspects, no threads, no kills, no hooks.

    python -m benchmarks.floor.least_cycle THREADS
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import hiredis
import msgspec
import redis

from benchmarks.peers import body


class Payload(msgspec.Struct):
    name: str = msgspec.field(name="class")
    args: list[Any]


def noop(number: int) -> None:
    """The job."""


def main(threads: int) -> None:
    client = redis.Redis.from_url(body.REDIS_URL)
    sha = client.script_load(Path(__file__).with_name("cycle.lua").read_text())
    socket = client.connection_pool.get_connection()._get_socket()
    reader = hiredis.Reader()
    decode = msgspec.json.Decoder(Payload).decode
    keys = (
        4, f"resque:ledger:{os.getpid()}", "resque:stat:processed",
        f"resque:stat:processed:{os.getpid()}", "resque:queue:floors",
    )  # fmt: skip
    functions = {"noop": noop}
    slots = [b"%d" % slot for slot in range(threads)]
    number, ended, jobs = 0, 0, [b""]
    while jobs:
        number += 1
        socket.sendall(
            hiredis.pack_command(("EVALSHA", sha, *keys, number, threads, ended, *slots))
        )
        while (jobs := reader.gets()) is False:
            reader.feed(socket.recv(65_536))
        if isinstance(jobs, Exception):
            raise jobs
        for raw in jobs:
            payload = decode(raw)
            functions[payload.name](*payload.args)
        ended = len(jobs)


if __name__ == "__main__":
    main(int(sys.argv[1]))
