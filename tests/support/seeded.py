"""A busy system as it stands in Redis, made up: for pictures and for the load of the pages.

Everything is made from a fixed seed, and times count back from now.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator

import redis

from gresque.clock import iso_8601
from gresque.failure.entry import encode_entry
from gresque.processes.vitals import Vitals
from gresque.store.commands import Blocking, JobWait, Running, encode_waits

AHEAD_SECONDS = 900
"""Heartbeats and metrics are made for this long ahead, as nothing writes any."""
BLOCKED = 7
"""The process whose first job keeps the others from running."""
WAITS = {
    "sync": "api.shopware.example:443", "web": "example.org:443", "mail": "smtp.example.net:587",
    "reports": "a lock", "thumbnails": "process 9917", "webhooks": "hooks.example.com:443",
    "imports": "10.0.8.20:9000",
}  # fmt: skip
"""What the jobs of a queue wait on."""
CLASSES = (
    ("sync.PullOrders", "sync", ("shop-204",)), ("web.FetchPage", "web", ("https://example.org/a",)),
    ("mail.SendReceipt", "mail", ("ord_55812",)), ("reports.BuildPdf", "reports", (8812, "a4")),
    ("media.Thumbnail", "thumbnails", ("v-20931", 640)),
    ("hooks.Deliver", "webhooks", ("ev_91ab",)),
    ("imports.CsvImport", "imports", ("s3://acme-in/2026-11-25.csv.gz",)),
)  # fmt: skip
ERRORS = (
    ("requests.exceptions.ConnectTimeout", "api.shopware.example is silent", "sync/orders.py:88"),
    ("requests.exceptions.HTTPError", "503 Server Error", "hooks/deliver.py:41"),
    ("ssl.SSLError", "certificate has expired", "web/fetch.py:19"),
    ("gresque.JobTimeout", "ran for longer than 300 s", "reports/pdf.py:203"),
)  # fmt: skip


def seed(
    client: redis.Redis,
    *,
    processes: int,
    running: int,
    queues: int,
    failed: int,
    per_queue: int = 40,
    now: int | None = None,
) -> None:
    """Processes on half as many hosts, jobs that run, queues with jobs, failed jobs, metrics. `now`
    is the time of the server if not given."""
    dice = random.Random(7)
    now = int(client.time()[0]) if now is None else now
    names = [queue for _, queue, _ in CLASSES]
    names += [f"tenant-{number:04d}" for number in range(queues - len(names))]
    pipeline = client.pipeline(transaction=False)
    _queues(pipeline, dice, names[:queues], per_queue, now)
    _processes(pipeline, dice, processes, running, now)
    _metrics(pipeline, dice, now)
    _around(pipeline, now)
    pipeline.mset({"resque:stat:processed": 57_912_404, "resque:stat:failed": 41_207})
    pipeline.execute()
    for bulk in _failed(dice, failed, now):
        client.rpush("resque:failed", *bulk)


def _id(dice: random.Random, at: float) -> str:
    """Of a job that was enqueued then."""
    return f"{int(at * 1000):012x}7{dice.getrandbits(12):03x}8{dice.getrandbits(60):015x}"


def _item(dice: random.Random, at: float, which: int | None = None) -> tuple[str, bytes]:
    name, queue, args = CLASSES[dice.randrange(len(CLASSES)) if which is None else which]
    return queue, json.dumps({"class": name, "args": args, "id": _id(dice, at)}).encode()


def _queues(
    pipeline: redis.Redis, dice: random.Random, names: list[str], most: int, now: int
) -> None:
    pipeline.sadd("resque:queues", *names)
    for name in names:
        waits = 372.0 if name == "mail" else dice.uniform(0.2, 3)
        items = [_item(dice, now - waits)[1] for _ in range(dice.randrange(most + 1))]
        if items:
            pipeline.rpush(f"resque:queue:{name}", *items)
    pipeline.hset("resque:policies", mapping={"mail": "c20", "imports": "p"})


def _processes(
    pipeline: redis.Redis, dice: random.Random, count: int, running: int, now: int
) -> None:
    for number in range(count):
        worker = f"web-{number // 2 + 1:02d}:{4000 + number}:*:1:500:100000"
        process = f"{worker}:{5000 + number}:{(now - 7200) * 1000}"
        share = running // count + (number < running % count)
        since, waits = {}, {}
        pipeline.sadd("resque:workers", worker)
        pipeline.hset("resque:workers:heartbeat", worker, iso_8601(now + AHEAD_SECONDS))
        pipeline.zadd("resque:ledgers", {process: (now + AHEAD_SECONDS) * 1000})
        fields: dict[str, bytes | str] = {"state": "1 0 0 0 0 0"}
        for slot in range(share):
            seconds = dice.expovariate(1 / 30) + 1.5
            queue, item = _item(dice, now - seconds - 1)
            key = f"resque:queue:{queue}"
            fields[str(slot)] = f"{len(key)}:{key}".encode() + item
            since[str(slot)] = now - seconds
            waits[str(slot)] = JobWait(WAITS[queue], 0.0, "")
        pipeline.hset(f"resque:ledger:{process}", mapping=fields)
        blocking = None
        if number == BLOCKED:
            since["0"] = now - 14.2
            blocking = Blocking("0", since["0"], ["/srv/app/reports/pdf.py:203:in `_layout'"])
        pipeline.set(f"resque:running:{process}", Running(since, blocking).encode())
        pipeline.set(f"resque:waits:{process}", encode_waits(waits))
        vitals = Vitals(
            "ready", share, share, round(dice.uniform(0, 0.01), 3), now - 7200, "*", "0.1.0",
            rss=dice.randrange(90, 400) * 10**6, cpu=dice.uniform(10, 4000),
        )  # fmt: skip
        pipeline.hset("resque:vitals", process, vitals.encode())


def _metrics(pipeline: redis.Redis, dice: random.Random, now: int) -> None:
    minute = now // 60
    for back in range(-AHEAD_SECONDS // 60, 60):
        fields: dict[str, int] = {"d": 0, "f": 0}
        for number, (name, queue, _) in enumerate(CLASSES):
            done, failed = dice.randrange(3000, 6000) // (number + 1), dice.randrange(3)
            failed += 300 if name == "sync.PullOrders" and back < 3 else 0
            fields |= {f"d|{queue}|{name}": done, f"f|{queue}|{name}": failed,
                       f"s|{queue}|{name}": done * dice.randrange(100, 900),
                       f"x|{queue}|{name}|{ERRORS[number % 4][0]}": failed}  # fmt: skip
            fields["d"] += done
            fields["f"] += failed
        pipeline.hset(f"resque:metrics:minute:{minute - back}", mapping=fields)
        pipeline.expire(f"resque:metrics:minute:{minute - back}", 29_400)
        if back < 12:
            seconds = {f"{second}d": fields["d"] // 60 + dice.randrange(40) for second in range(60)}
            seconds |= {f"{second}f": fields["f"] // 60 for second in range(60)}
            pipeline.hset(f"resque:metrics:second:{minute - back}", mapping=seconds)
    for back in range(144):
        at = now // 600 - back
        done = 240_000 + 60_000 * ((back * 37) % 10)
        pipeline.hset(f"resque:metrics:ten:{at}", mapping={"d": done, "f": done // 900})
        pipeline.expire(f"resque:metrics:ten:{at}", 259_200)


def _around(pipeline: redis.Redis, now: int) -> None:
    pipeline.xadd("resque:marks", {"kind": "mark", "text": "deploy 8f31c2", "by": "ana"},
                  id=f"{(now - 250) * 1000}-0")  # fmt: skip
    for number in range(5):
        entry = {"by": "ana", "from": "web 10.0.0.3", "verb": "pause", "target": f"queue q{number}",
                 "count": "1", "outcome": "done"}  # fmt: skip
        pipeline.xadd("resque:audit", entry, id=f"{(now - 900 + number) * 1000}-0")


def _failed(dice: random.Random, count: int, now: int) -> Iterator[list[bytes]]:
    for start in range(0, count, 1000):
        bulk = []
        for number in range(start, min(start + 1000, count)):
            which = dice.randrange(4)
            exception, error, place = ERRORS[which]
            queue, item = _item(dice, now - 3600, which)
            frames = [f"/srv/app/{place}:in `perform'", "/srv/app/lib/retry.py:12:in `call'"]
            raw = encode_entry(item, exception, error, frames, "web-01:4000:*:1:500:100000", queue)
            at = time.strftime("%Y/%m/%d %H:%M:%S UTC", time.gmtime(now - (count - number) % 3600))
            bulk.append(json.dumps(json.loads(raw) | {"failed_at": at}).encode())
        yield bulk
