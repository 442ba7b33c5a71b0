"""The Lua scripts of a worker process, as functions for tests: calling them, and what they leave in
Redis."""

from __future__ import annotations

from itertools import chain, repeat
from typing import Any

import redis

from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.store.keys import Keys
from gresque.store.ledger import parse_entry

Redis = redis.Redis
KEYS = Keys("resque")
LEDGER, PROCESSED, FAILURES = "resque:ledger:p", "resque:stat:processed", "resque:stat:failed"
RETRIED, OWN_RETRIED = "resque:stat:retried", "resque:stat:retried:w"
OWN_PROCESSED, OWN_FAILURES = "resque:stat:processed:w", "resque:stat:failed:w"
FAILED, QUEUES, FAILED_QUEUES = "resque:failed", "resque:queues", "resque:failed_queues"
SUSPECTS, PROCESSES, RECOVERIES = "resque:suspects", "resque:processes", "resque:recoveries"
MASTERS = "resque:masters"
POLICIES, PAUSE_ALL, INFLIGHT = "resque:policies", "resque:pause-all-workers", "resque:inflight"
OWN_INFLIGHT, RATES = "resque:inflight:w", "resque:rates"
FIXED = [LEDGER, PROCESSED, FAILURES, OWN_PROCESSED, OWN_FAILURES, QUEUES, FAILED_QUEUES, SUSPECTS,
         RETRIED, OWN_RETRIED, POLICIES, PAUSE_ALL, INFLIGHT, OWN_INFLIGHT, RATES]  # fmt: skip
VITALS = "resque:vitals"


def run(client: Redis, name: str, keys: list[Any], *args: Any) -> Any:
    return client.eval(script(name).text, len(keys), *keys, *args)


def q(name: str) -> str:
    return f"resque:queue:{name}"


def register(client: Redis) -> None:
    run(
        client, "register",
        ["resque:workers", "resque:worker:w:started", "resque:ledgers", LEDGER,
         "resque:heartbeat", PROCESSES, MASTERS],
        "w", "2026-11-23 15:33:10 +0000", "p", "2026-11-23T15:33:10+00:00", 1764000000000,
        "0 0 0 0 0", "machine 7",
    )  # fmt: skip


def cycle(
    client: Redis,
    sequence: int,
    want: int,
    queues: list[str],
    *,
    ended: Any = (),
    free: Any = (),
    to_requeue: Any = (),
    entries: Any = (),
    counted: tuple[int, ...] = (0, 0),
    totals: tuple[int, ...] = (0, 0, 0, 0),
    arm: int = 0,
    effects: Any = (),
    by: Redis | None = None,
    own_caps: str = "",
    freed: Any = (),
) -> Any:
    """`counted` is how many ended, how many of them failed and how many are retried (0 where it is
    left out, as in `totals`); `entries` are three parts each, of
    the ended ones that are not given back; `effects` are others: slot, kind, key, a, b, c,
    and a second key of some."""
    origins = held(client)
    failing = chain((slot for slot in ended if slot not in to_requeue), repeat("none"))
    made: list[tuple[Any, ...]] = [
        (slot, "fail", *entries[start : start + 3], "")
        for slot, start in zip(failing, range(0, len(entries), 3), strict=False)
    ]
    for slot in to_requeue:
        queue = origins.get(slot, ("none", ""))[0]
        made.append((slot, "requeue", q(queue), queue, "", ""))
    made += effects
    lists = [*FIXED, *map(q, queues)]
    more = list(dict.fromkeys(
        key for _, _, first, _, _, _, *second in made for key in (first, *second)
    ))  # fmt: skip
    index = {key: number for number, key in enumerate(more, len(lists) + 1)}
    parts = [
        part for slot, kind, key, *rest in made for part in (slot, kind, index[key], *rest[:3])
    ]
    return run(
        by or client, "cycle", [*lists, *more, *(KEYS.freed(queue) for queue in freed)],
        sequence, want, arm, *(*totals, 0)[:5], *(*counted, 0)[:3], len(queues), len(made),
        len(ended), own_caps, len(freed),
        *parts, *ended, *free,
    )  # fmt: skip


WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def parts(reply: Any) -> tuple[list[str], dict[tuple[str, str], str], Any]:
    """Refused slots; what was refused, by what it is for and its key; the rest of the reply."""
    if not reply or reply[0] != b"refused":
        return [], {}, reply
    _, refused, notes, rest, *_ = reply
    words = [word.decode() for word in notes]
    by_key = {
        (what, key): error
        for what, key, error in zip(words[::4], words[2::4], words[3::4], strict=True)
    }
    return [slot.decode() for slot in refused], by_key, rest


def held(client: Redis) -> dict[str, tuple[str, str]]:
    """Slot -> queue and payload."""
    fields = client.hgetall(LEDGER)
    fields.pop(b"state", None)
    entries = {slot.decode(): parse_entry(value) for slot, value in fields.items()}
    prefix = len(q(""))
    return {
        slot: (entry.queue_key.decode()[prefix:], entry.raw.decode(errors="surrogateescape"))
        for slot, entry in entries.items()
    }


def waiting(client: Redis, *names: str) -> dict[str, list[str]]:
    return {name: [raw.decode() for raw in client.lrange(q(name), 0, -1)] for name in names}


def state(client: Redis) -> str:
    return client.hget(LEDGER, "state").decode()


def snapshot(client: Redis) -> dict[bytes, Any]:
    return {key: client.dump(key) for key in client.scan_iter()}


def slots(count: int, first: int = 0) -> list[str]:
    return [str(number) for number in range(first, first + count)]


def reserve(db: Redis, raws: str, queue: str = "a") -> None:
    db.rpush(q(queue), *raws)
    cycle(db, 1, len(raws), [queue], free=slots(len(raws)))


def counters(db: Redis) -> list[int]:
    return [int(value or 0) for value in db.mget(PROCESSED, FAILURES, OWN_PROCESSED, OWN_FAILURES)]


def fence(client: Redis) -> Any:
    return run(client, "fence", [LEDGER, "resque:fenced"], "process", 86_400)


def beat(
    client: Redis, process: str = "p", now: int = 2 * 10**12, corrects: int = 0
) -> Any:  # fmt: skip
    """Whether it is registered, and what was refused."""
    return run(
        client, "beat",
        ["resque:ledgers", "resque:heartbeat", "resque:workers", "resque:worker:w:started", MASTERS,
         "resque:stat:processed:w", "resque:stat:failed:w", "resque:stat:retried:w",
         f"resque:ledger:{process}"],
        process, "w", now, "2026-11-23T15:33:10+00:00",
        "2026-11-23 15:33:10 +0000", 7, 2, 0, corrects,
    )[:2]  # fmt: skip


def publish(
    client: Redis, line: str, after: int | str = "", waits: str = "", *, watched: bool = False
) -> Any:
    """The length of the text, whether a viewer asks, whether the waits are known there, and what
    was refused."""
    keys = ["resque:running:p", "resque:watch", *(["resque:waits:p"] if watched else [])]
    return run(client, "publish", keys, line, after, 25, waits, 5)


def unregister(client: Redis, number: int = 0) -> Any:
    return run(
        client,
        "unregister",
        ["resque:ledgers", LEDGER, "resque:running:p", "resque:commands:p", PROCESSES, VITALS],
        "p",
        number,
    )


def recover(client: Redis, *moves: list[str]) -> Any:
    """Requeued, failed, left."""
    lists = list(dict.fromkeys(move[2] for move in moves if move[2]))
    index = {key: number for number, key in enumerate(lists, 14)} | {"": 0}
    return run(
        client, "recover",
        [
            LEDGER, "resque:ledgers", "resque:running:p", QUEUES, PROCESSED, FAILURES,
            FAILED_QUEUES, SUSPECTS, PROCESSES, RECOVERIES, RETRIED,
            KEYS.inflight, KEYS.inflight_of("w"), *lists,
        ],
        "p", '{"process":"p"', 3, 60, 0,
        *(
            part
            for move in moves
            for part in [*move[:2], index[move[2]], move[3], *arguments_of(move)]
        ),
    )[:3]  # fmt: skip


def arguments_of(move: list[str]) -> list[str]:
    """a, b and c of its effect; a list of failed jobs has a name where it is that of its queue."""
    if move[1] in ("requeue", "suspect"):
        return [KEYS.queue_of(move[2]) or "", "", ""]
    return [move[3], "" if move[2] in (FAILED, "") else move[2].removeprefix("resque:"), ""]


def rung(connection: TrackedConnection) -> bool:
    connection.call(b"PING")  # what was to be announced came before this reply
    return bool(connection.invalidated) or connection.hear()
