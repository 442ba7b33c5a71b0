"""A busy system at night as it stands in Redis, made up: for pictures and for the load of pages.

A job blocks its process, a class has failed since the last deploy, the queue mail falls behind, a
host is silent. Everything is made from a fixed seed, and times count back from now.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

import redis

from gresque.clock import iso_8601
from gresque.failure.entry import encode_entry
from gresque.processes.vitals import Vitals
from gresque.store.commands import Blocking, JobWait, Running, encode_waits
from tests.support.seeded_metrics import DEPLOYED, SURGING, Rate, seed_metrics

AHEAD_SECONDS = 900
"""Heartbeats and metrics are made for this long ahead, as nothing writes any."""
BLOCKED = 7
"""The process whose first job keeps the others from running."""
SILENT_HOST = "web-09"
SILENT_SECONDS = 41
WAITED = {"mail": 372.0, "imports": 7800.0}
"""Seconds that the oldest jobs of these queues have waited."""
DAY = 86_400


class Kind(NamedTuple):
    """A class of jobs. `held` and `done` are its shares of what runs and of what ends; a run of it
    takes about `seconds`."""

    name: str
    queue: str
    args: str
    waits_on: str
    held: int
    done: int
    seconds: float

    def payload(self, dice: random.Random, at: float) -> bytes:
        args = json.loads(self.args.replace("#", str(dice.randrange(20, 999))))
        return json.dumps({"class": self.name, "args": args, "id": _id(dice, at)}).encode()


KINDS = (
    Kind(SURGING, "sync", '["shop-#"]', "api.shopware.example:443", 620, 130, 1.2),
    Kind("web.FetchPage", "web", '["https://example.org/archive/#"]', "example.org:443", 250, 500,
         0.18),
    Kind("reports.BuildPdf", "reports", '[8#, {"format": "a4", "_kwargs": true}]', "a lock", 70, 6,
         2.1),
    Kind("media.Thumbnail", "thumbnails", '["v-20#", 640]', "process 9917", 35, 90, 0.35),
    Kind("hooks.Deliver", "webhooks", '["ev_91#"]', "hooks.example.com:443", 15, 200, 0.25),
    Kind("imports.CsvImport", "imports", '["s3://acme-in/#.csv.gz"]', "10.0.8.20:9000", 1,
         1, 212.0),
    Kind("mail.SendReceipt", "mail", '["ord_55#", {"to": "ana@example.org", "_kwargs": true}]',
         "smtp.example.net:587", 5, 73, 0.21),
)  # fmt: skip
QUEUES = tuple(each.queue for each in KINDS)


class Error(NamedTuple):
    """Of the class with this number. None is newer than `ago` seconds."""

    which: int
    exception: str
    message: str
    place: str
    share: int = 0
    ago: int = 0


ERRORS = (
    Error(0, "requests.ConnectTimeout", "api.shopware.example is silent", "sync/orders.py:88"),
    Error(4, "requests.HTTPError", "503 Server Error", "hooks/deliver.py:41", 6),
    Error(1, "ssl.SSLError", "certificate has expired", "web/fetch.py:19", 3, 400),
    Error(2, "gresque.JobTimeout", "ran for longer than 300 s", "reports/pdf.py:203", 1, 2900),
)
"""The first one since the deploy."""
FRAMES = (
    "/srv/app/lib/retry.py:12:in `call'", "/srv/app/lib/http.py:207:in `request'",
    "/usr/lib/python3/dist-packages/requests/sessions.py:589:in `request'",
    "/usr/lib/python3/dist-packages/requests/adapters.py:688:in `send'",
    "/usr/lib/python3/dist-packages/urllib3/connectionpool.py:791:in `urlopen'",
    "/usr/lib/python3/dist-packages/urllib3/connection.py:199:in `_new_conn'",
)  # fmt: skip

STACK = (
    "/usr/lib/python3/dist-packages/reportlab/pdfgen/canvas.py:1107:in `_drawGlyphs'",
    "/usr/lib/python3/dist-packages/reportlab/pdfgen/canvas.py:988:in `drawString'",
    "/srv/app/reports/pdf.py:203:in `build_table'",
    "/srv/app/reports/pdf.py:61:in `render'",
    "/srv/app/reports/jobs.py:18:in `perform'",
)
"""Of the job that blocks its process."""


def seed(
    client: redis.Redis,
    *,
    processes: int,
    running: int,
    queues: int,
    failed: int,
    per_queue: int = 40,
    backlog: int = 0,
    per_host: int = 2,
    now: int | None = None,
) -> None:
    """Workers of `per_host` processes with running jobs, queues with jobs, `backlog` more of them
    in mail, failed jobs, metrics. `now` is the time of the server if not given."""
    dice = random.Random(7)
    now = int(client.time()[0]) if now is None else now
    names = [*QUEUES, *(f"tenant-{number:04d}" for number in range(queues - len(QUEUES)))]
    pipeline = client.pipeline(transaction=False)
    _queues(pipeline, dice, names[:queues], per_queue, backlog, now)
    _processes(pipeline, dice, processes, running, per_host, now)
    rates = [Rate(each.name, each.queue, each.done, each.seconds) for each in KINDS]
    errors = {KINDS[each.which].name: each.exception for each in ERRORS}
    seed_metrics(pipeline, dice, rates, errors, now, AHEAD_SECONDS)
    _later(pipeline, dice, now)
    _around(pipeline, now)
    pipeline.mset({"resque:stat:processed": 57_912_404, "resque:stat:failed": 41_207})
    pipeline.execute()
    for bulk in _failed(dice, failed, now):
        client.rpush("resque:failed", *bulk)


def _id(dice: random.Random, at: float) -> str:
    """Of a job that was enqueued then."""
    return f"{int(at * 1000):012x}7{dice.getrandbits(12):03x}8{dice.getrandbits(60):015x}"


def _queues(
    pipeline: redis.Redis, dice: random.Random, names: list[str], most: int, backlog: int, now: int
) -> None:
    pipeline.sadd("resque:queues", *names)
    kinds = {each.queue: each for each in KINDS}
    for name in names:
        waits = WAITED.get(name) or dice.uniform(0.2, 3) / (1 if name in kinds else 9)
        kind = kinds.get(name, KINDS[1])
        least = most // 2 if name in kinds else 0
        count = dice.randrange(least, most + 1) + (backlog if name == "mail" else 0)
        items = [kind.payload(dice, now - waits * (1 - n / count)) for n in range(count)]
        if items:
            pipeline.rpush(f"resque:queue:{name}", *items)
    pipeline.hset("resque:policies", mapping={"mail": "c20", "imports": "p"})


def _processes(
    pipeline: redis.Redis, dice: random.Random, count: int, running: int, per_host: int, now: int
) -> None:
    weights = [dice.uniform(0.4, 1.6) for _ in range(count)]
    edges = [round(running * part / sum(weights)) for part in accumulate(weights)]
    for number, (first, last) in enumerate(zip([0, *edges], edges, strict=False)):
        host = f"web-{number // per_host + 1:02d}"
        worker = f"{host}:{4000 + number // per_host}:*:{per_host}:500:100000"
        process = f"{worker}:{5000 + number}:{(now - 7200) * 1000}"
        heard = now - SILENT_SECONDS if host == SILENT_HOST else now + AHEAD_SECONDS
        pipeline.sadd("resque:workers", worker)
        pipeline.hset("resque:workers:heartbeat", worker, iso_8601(heard))
        pipeline.zadd("resque:ledgers", {process: heard * 1000})
        _held(pipeline, dice, process, last - first, now, number == BLOCKED)
        vitals = Vitals(
            "ready", last - first, last - first, round(dice.uniform(0, 0.01), 3), now - 7200, "*",
            "0.1.0", rss=dice.randrange(90, 400) * 10**6, cpu=dice.uniform(10, 4000),
        )  # fmt: skip
        pipeline.hset("resque:vitals", process, vitals.encode())


def _held(
    pipeline: redis.Redis, dice: random.Random, process: str, count: int, now: int, blocks: bool
) -> None:
    since, waits = {}, {}
    done, failed = dice.randrange(900_000, 1_500_000), dice.randrange(700, 1100)
    state = f"1 {done + failed + 40 + count} {done} {failed} 0 40"
    fields: dict[str, bytes | str] = {"state": state}
    picked = dice.choices(KINDS, [each.held for each in KINDS], k=count)
    for slot, kind in enumerate(picked):
        kind = KINDS[2] if blocks and slot == 0 else kind
        seconds = 14.2 if blocks and slot == 0 else dice.expovariate(1 / 40) + 0.8
        if kind.seconds > 100:
            seconds *= dice.uniform(20, 90)
        key = f"resque:queue:{kind.queue}"
        fields[str(slot)] = f"{len(key)}:{key}".encode() + kind.payload(dice, now - seconds - 1)
        since[str(slot)] = now - seconds
        waits[str(slot)] = JobWait(kind.waits_on, 0.0, "")
    blocking = None
    if blocks:
        blocking = Blocking("0", since["0"], list(STACK))
    pipeline.hset(f"resque:ledger:{process}", mapping=fields)
    pipeline.set(f"resque:running:{process}", Running(since, blocking).encode())
    pipeline.set(f"resque:waits:{process}", encode_waits(waits))


def _later(pipeline: redis.Redis, dice: random.Random, now: int) -> None:
    """Delayed jobs and schedule entries."""
    for number in range(180):
        kind = KINDS[number % len(KINDS)]
        due, raw = now + 700 + number * 97, kind.payload(dice, now - 60 * number)
        member = json.loads(raw)["id"]
        key = f"resque:queue:{kind.queue}"
        pipeline.zadd("resque:later", {member: due * 1000})
        pipeline.hset("resque:later:jobs", member, f"{len(key)}:{key}".encode() + raw)
    entries = (
        ("catalogue", KINDS[0], {"every": 300}),
        ("nightly-import", KINDS[5], {"cron": "15 4 * * *"}),
        ("reminders", KINDS[6], {"cron": "0 8 * * 1-5", "tz": "Europe/Berlin"}),
    )  # fmt: skip
    for number, (name, kind, when) in enumerate(entries):
        entry = {
            "name": name,
            "job": kind.name,
            "queue": kind.queue,
            "args": [],
            "source": "dynamic",
            **when,
        }
        pipeline.hset("resque:cron", name, json.dumps(entry))
        pipeline.zadd("resque:cron:next", {name: (now + 137 + 3800 * number) * 1000})


def _around(pipeline: redis.Redis, now: int) -> None:
    """Marks, and the audit."""
    pipeline.xadd("resque:marks", {"kind": "mark", "text": "deploy 8f31c2", "by": "ana"},
                  id=f"{(now - DEPLOYED) * 1000}-0")  # fmt: skip
    done = (
        ("pause", "queue imports", "1"),
        ("cap", "queue mail: 20", "1"),
        ("kill", "class:mail.*", "12"),
        ("retry", "hooks.Deliver HTTPError", "318"),
        ("drain", "web-04:5013", "1"),
    )  # fmt: skip
    for number, (verb, target, count) in enumerate(done):
        entry = {"by": "ana", "from": "web 10.0.0.3", "verb": verb, "target": target,
                 "count": count, "outcome": "done"}  # fmt: skip
        pipeline.xadd("resque:audit", entry, id=f"{(now - 7900 + 1440 * number) * 1000}-0")


def _failed(dice: random.Random, count: int, now: int) -> Iterator[list[bytes]]:
    """The newest last, and most of them in the last hours."""
    raws = [_raw_entry(each) for each in ERRORS]
    usual = range(1, len(ERRORS))
    for start in range(0, count, 1000):
        bulk = []
        for number in range(start, min(start + 1000, count)):
            ago = DAY * ((count - number - 0.5) / count) ** 2
            weights = [ERRORS[each].share * (ago >= ERRORS[each].ago) for each in usual]
            which = dice.choices(usual, weights)[0]
            if ago < DEPLOYED and dice.random() < 0.95:
                which = 0
            at = time.strftime("%Y/%m/%d %H:%M:%S UTC", time.gmtime(now - ago))
            raw = raws[which].replace(b"@id@", _id(dice, now - ago - 5).encode())
            raw = raw.replace(b"@number@", b"%d" % dice.randrange(20, 999))
            raw = raw.replace(b"@host@", b"web-%02d" % dice.randrange(1, 13))
            bulk.append(raw.replace(b"@at@", at.encode()))
        yield bulk


def _raw_entry(error: Error) -> bytes:
    """To be filled in."""
    kind = KINDS[error.which]
    args = kind.args.replace("8#", '"@number@"').replace("#", "@number@")
    item = json.dumps({"class": kind.name, "args": json.loads(args), "id": "@id@"}).encode()
    frames = [f"/srv/app/{error.place}:in `perform'", *FRAMES]
    worker = "@host@:4000:*:1:500:100000"
    raw = encode_entry(item, error.exception, error.message, frames, worker, kind.queue)
    return json.dumps(json.loads(raw) | {"failed_at": "@at@"}).encode()
