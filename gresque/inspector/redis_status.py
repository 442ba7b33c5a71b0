"""The server behind a namespace: its memory, persistence, clients, speed and slow commands."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from gresque.connection.scripts import script_names
from gresque.store.refusals import is_missing_right
from gresque.store.store import Store
from gresque.text import decoded, encoded

PINGS = 5
SLOW_SHOWN = 10


@dataclass(frozen=True)
class SlowCommand:
    """An entry of the server's log of slow commands: its start in epoch seconds, and the command
    with its first argument. The others may hold arguments of jobs, and are left out."""

    at: float
    seconds: float
    command: str
    client: str


@dataclass(frozen=True)
class RedisStatus:
    """`trip_seconds` is the median of PINGS round trips. Fields of INFO that this user may not
    read, or that the server does not have, are None. `max_memory_bytes` is None for no limit.
    `evicts` are keys that the server has removed for want of memory: jobs may be lost then."""

    server: str
    version: str
    mode: str
    role: str
    uptime_seconds: int | None
    trip_seconds: float
    memory_bytes: int | None
    peak_bytes: int | None
    max_memory_bytes: int | None
    policy: str
    fragmentation: float | None
    clients: int | None
    blocked_clients: int | None
    tracking_clients: int | None
    max_clients: int | None
    commands_per_second: int | None
    evicts: int | None
    append_only: bool | None
    append_only_error: bool
    last_save: int | None
    changes_since_save: int | None
    save_error: bool
    replicas: int | None
    slow: tuple[SlowCommand, ...]

    @classmethod
    def read(cls, store: Store) -> RedisStatus:
        """In seven round trips, PINGS of them one after the other."""
        trips = []
        for _ in range(PINGS):
            started = time.perf_counter()
            store.redis.ping()
            trips.append(time.perf_counter() - started)
        reads = store.reads()
        info = reads.info()
        reads.run()
        return _status(info.value, statistics.median(trips), _slow_commands(store))

    @property
    def troubles(self) -> list[str]:
        """What has endangered jobs, or may, beside what `findings.server` finds: in a sentence
        each that says what to do."""
        found = []
        if self.evicts and self.policy not in ("", "noeviction"):
            found.append(
                f"The server has removed {self.evicts:,} keys for want of memory since its start, "
                "and jobs may be among them. Set maxmemory-policy to noeviction."
            )
        if self.append_only is False:
            found.append(
                "The server keeps no append-only file: when it dies, what was enqueued and done "
                "since the last save is lost. Set appendonly to yes."
            )
        return found


def _status(info: Mapping[str, Any], trip: float, slow: tuple[SlowCommand, ...]) -> RedisStatus:
    def number(name: str) -> int | None:
        found = info.get(name)
        return int(found) if isinstance(found, int | float) else None

    is_valkey = "valkey_version" in info
    ratio = info.get("mem_fragmentation_ratio")
    append_only = number("aof_enabled")
    return RedisStatus(
        server="Valkey" if is_valkey else "Redis",
        version=str(info.get("valkey_version" if is_valkey else "redis_version", "")),
        mode=str(info.get("server_mode") or info.get("redis_mode") or ""),
        role=str(info.get("role", "")),
        uptime_seconds=number("uptime_in_seconds"),
        trip_seconds=trip,
        memory_bytes=number("used_memory"),
        peak_bytes=number("used_memory_peak"),
        max_memory_bytes=number("maxmemory") or None,
        policy=str(info.get("maxmemory_policy", "")),
        fragmentation=float(ratio) if isinstance(ratio, int | float) else None,
        clients=number("connected_clients"),
        blocked_clients=number("blocked_clients"),
        tracking_clients=number("tracking_clients"),
        max_clients=number("maxclients"),
        commands_per_second=number("instantaneous_ops_per_sec"),
        evicts=number("evicted_keys"),
        append_only=None if append_only is None else bool(append_only),
        append_only_error=info.get("aof_last_write_status", "ok") != "ok",
        last_save=number("rdb_last_save_time"),
        changes_since_save=number("rdb_changes_since_last_save"),
        save_error=info.get("rdb_last_bgsave_status", "ok") != "ok",
        replicas=number("connected_slaves"),
        slow=slow,
    )


def _slow_commands(store: Store) -> tuple[SlowCommand, ...]:
    try:
        found = store.redis.slowlog_get(SLOW_SHOWN)
    except redis.ResponseError as error:
        if is_missing_right(error) or "unknown command" in str(error).lower():
            return ()
        raise
    return tuple(
        SlowCommand(
            at=float(each["start_time"]),
            seconds=each["duration"] / 1_000_000,
            command=_named(decoded(each["command"])),
            client=decoded(each.get("client_address") or b""),
        )
        for each in found
    )


def _named(command: str) -> str:
    """A command and its first argument; of a script of ours its name instead of its SHA-1."""
    verb, _, rest = command.partition(" ")
    first = rest.partition(" ")[0]
    name = script_names().get(encoded(first)) if verb.upper().startswith("EVALSHA") else None
    return f"{verb} {name or first}".rstrip()
