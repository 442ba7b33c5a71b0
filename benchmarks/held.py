"""Worker processes that only stand in Redis: ledgers, beats, what runs."""

from __future__ import annotations

import json
import time

import redis

from gresque.store.commands import Running

PAYLOAD_BYTES = 400
BORN_MS = 1_795_485_960_660


def process_name(number: int) -> str:
    return f"vm:{1000 + number // 4}:mail:4:500:10000:{5000 + number}:{BORN_MS + number}"


def job_id(process: int, slot: int) -> str:
    return f"{process:016x}{slot:016x}"


def hold(client: redis.Redis, processes: int, jobs: int) -> None:
    """A number of processes with a number of jobs each, all of which have been running for a while:
    the job in slot n of process m since (n + m / 1000) seconds."""
    now = time.time()
    pipeline = client.pipeline(transaction=False)
    key = "resque:queue:mail"
    pipeline.sadd("resque:queues", "mail")
    for process in range(processes):
        name = process_name(process)
        fields: dict[str, str] = {"state": f"7 {jobs} 0 0 0 0"}
        for slot in range(jobs):
            item = json.dumps(
                {"class": "Fetch", "args": ["x" * PAYLOAD_BYTES], "id": job_id(process, slot)}
            )
            fields[str(slot)] = f"{len(key)}:{key}{item}"
        since = {str(slot): now - slot - process / 1000 for slot in range(jobs)}
        pipeline.hset(f"resque:ledger:{name}", mapping=fields)  # type: ignore[arg-type]
        pipeline.set(f"resque:running:{name}", Running(since).encode())
        pipeline.zadd("resque:ledgers", {name: now * 1000})
    pipeline.execute()


class Traffic:
    """What a piece of code makes Redis do: the bytes that it sends, its calls by command."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def __enter__(self) -> Traffic:
        self._client.config_resetstat()
        return self

    def __exit__(self, *raised: object) -> None:
        stats = self._client.info("everything")
        self.bytes_sent = int(stats["total_net_output_bytes"])
        self.calls = {
            name.removeprefix("cmdstat_"): int(found["calls"])
            for name, found in stats.items()
            if name.startswith("cmdstat_")
            and not name.startswith(("cmdstat_config", "cmdstat_cli"))
        }
