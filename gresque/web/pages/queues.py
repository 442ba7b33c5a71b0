"""Queues: all of them; and one: its course, what waits in it, who works it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from flask import Response, abort, request

from gresque.inspector.metrics import Depth, Times
from gresque.inspector.queues import QueueDetails
from gresque.inspector.snapshot import LATE_SECONDS, QueueRow
from gresque.jobs import payload
from gresque.jobs.label import job_label
from gresque.jobs.waiting import waits_since
from gresque.web import charts
from gresque.web.pages.show import html, show
from gresque.web.site import site
from gresque.web.values import pretty

PAGE, ITEMS = 200, 50
LOOKED_AT, STEP = 10_000, 1000
"""How many jobs a search in a queue looks at; it says how far it came."""
NEAR = 200
"""How far before its place a waiting job is looked for."""

_Key = Callable[[QueueRow], Any]

SORTS: dict[str, _Key] = {
    "oldest": lambda row: (-(row.age_seconds or 0.0), -row.waiting, row.name),
    "name": lambda row: row.name,
    "waiting": lambda row: (-row.waiting, row.name),
    "in": lambda row: (-(row.in_rate or 0.0), row.name),
    "out": lambda row: (-(row.out_rate or 0.0), row.name),
    "running": lambda row: (-(row.running or 0), row.name),
}


def page() -> Response:
    here, given = site(), request.args
    snapshot = here.collector.last(jobs=True)
    sort = given.get("sort", "oldest")
    sort = sort if sort in SORTS else "oldest"
    text, start = given.get("q", "").strip(), max(given.get("from", 0, type=int), 0)
    found = [row for row in snapshot.queues if text.casefold() in row.name.casefold()]
    rows = sorted(found, key=SORTS[sort])
    return show(
        "queues",
        number=snapshot.number,
        snapshot=snapshot,
        queues=rows[start : start + PAGE],
        total=len(rows),
        start=start,
        next=start + PAGE if start + PAGE < len(rows) else None,
        sort=sort,
        text=text,
        depths=_depths(here.measured.depths()),
        LATE=LATE_SECONDS,
        PAGE=PAGE,
    )


def _depths(found: dict[str, list[Depth]]) -> dict[str, list[int]]:
    return {name: [each.depth for each in depths] for name, depths in found.items()}


# One queue


@dataclass(frozen=True)
class Item:
    """A job that waits, at its position; `reference` names it in a form."""

    position: int
    reference: str
    job_class: str
    label: str
    job_id: str
    age: float | None

    @classmethod
    def of(cls, position: int, raw: bytes, now: float) -> Item:
        found = payload.loads(raw)
        name, label, since = str(found.get("class") or ""), job_label(found), waits_since(raw)
        return cls(
            position,
            f"{position}-{digest_of(raw)}",
            name,
            label[len(name) :] if name and label.startswith(name) else label,
            str(found.get("id") or ""),
            None if since is None else max(now - since, 0.0),
        )


def digest_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]


def find(queue: str, reference: str) -> bytes | None:
    """The item that a form names: jobs before it may have gone meanwhile."""
    position, _, digest = reference.partition("-")
    if not position.isdecimal():
        return None
    start = max(int(position) - NEAR, 0)
    items = site().store.queues.peek(queue, start, 2 * NEAR)
    return next((raw for raw in items if digest_of(raw) == digest), None)


class Found(NamedTuple):
    """`looked_at` jobs from `start` on were searched; `next` is where to go on, None at the end."""

    items: list[Item]
    start: int
    looked_at: int
    next: int | None


def _search(queue: str, text: str, start: int, size: int, now: float) -> Found:
    """The first jobs with this text, among LOOKED_AT."""
    wanted = text.casefold()
    items: list[Item] = []
    position = start
    while position < min(start + LOOKED_AT, size) and len(items) < ITEMS:
        page = site().store.queues.peek(queue, position, STEP)
        if not page:
            break
        for raw in page:
            if wanted in raw.decode("utf-8", "replace").casefold():
                items.append(Item.of(position, raw, now))
            position += 1
            if len(items) == ITEMS:
                break
    return Found(items, start, position - start, position if position < size else None)


def one(queue: str) -> Response:
    here, given = site(), request.args
    snapshot, store = here.collector.last(jobs=True), here.store
    row = snapshot.queue(queue)
    details = QueueDetails.read(store, queue)
    if row is None and not details.size:
        abort(404, "there is no such queue: it is empty, and was forgotten")
    text, start = given.get("q", "").strip()[:500], max(given.get("from", 0, type=int), 0)
    now = store.now()
    if text:
        found = _search(queue, text, start, details.size, now)
    else:
        raws = store.queues.peek(queue, start, ITEMS)
        items = [Item.of(start + n, raw, now) for n, raw in enumerate(raws)]
        more = start + ITEMS if start + ITEMS < details.size else None
        found = Found(items, start, len(items), more)
    depths = here.measured.depths().get(queue, [])
    return show(
        "queue",
        number=snapshot.number,
        snapshot=snapshot,
        queue=queue,
        row=row,
        details=details,
        found=found,
        text=text,
        depth_chart=_depth_chart(queue, depths),
        wait_chart=_wait_chart(queue, here.measured.waits_of(queue)),
        LATE=LATE_SECONDS,
    )


def _depth_chart(queue: str, depths: list[Depth]) -> Any:
    if len(depths) < 2 or not any(each.depth for each in depths):
        return None
    values = [float(each.depth) for each in depths]
    label = f"Jobs waiting in {queue}: now {values[-1]:.0f}, at most {max(values):.0f}."
    minutes = round((depths[-1].at - depths[0].at) / 60)
    ticks = (charts.Tick(0, f"{minutes} min ago"), charts.Tick(1, "now"))
    return charts.lines([(values, "")], label, ticks=ticks)


def _wait_chart(queue: str, waits: list[tuple[int, Times | None]]) -> Any:
    known = [times for _, times in waits if times is not None and times.count]
    if not known:
        return None
    middle = [times.p50 if times else 0.0 for _, times in waits]
    late = [times.p95 if times else 0.0 for _, times in waits]
    label = (
        f"For how long jobs of {queue} waited: half of them up to {known[-1].p50:.2f} s, 95 % up "
        f"to {known[-1].p95:.2f} s in the last ten minutes with any."
    )
    first, last = (time.strftime("%H:%M", time.gmtime(waits[n][0])) for n in (0, -1))
    ticks = (charts.Tick(0, first), charts.Tick(1, last))
    return charts.lines([(late, "f"), (middle, "")], label, ticks=ticks, seconds=True)


def item(queue: str) -> Response:
    """One waiting job: its payload, and forms that move, change or remove it."""
    given = request.args.get("at", "")
    raw = find(queue, given)
    if raw is None:
        abort(404, "this job does not wait here any more: a worker has taken it")
    found = payload.read(raw)
    args = found.get("args") if isinstance(found.get("args"), list) else []
    return html(
        "queue_item.html",
        layout="shell.html",
        number=0,
        queue=queue,
        item=Item.of(0, raw, site().store.now()),
        at=given,
        shown=pretty(payload.loads(raw)),
        args=pretty(args),
        kwargs=pretty(found["kwargs"]) if found.get("kwargs") else "",
        is_job="class" in found,
        others=[each for each in site().store.queues.names() if each != queue][:500],
    )


def ask(queue: str, verb: str) -> Response:
    """The question before all jobs of a queue are moved or removed."""
    store = site().store
    return html(
        "queue_ask.html",
        layout="shell.html",
        number=0,
        verb=verb,
        queue=queue,
        size=store.queues.size(queue),
        others=[each for each in store.queues.names() if each != queue][:500],
    )


def ask_clear(queue: str) -> Response:
    return ask(queue, "clear")


def ask_move(queue: str) -> Response:
    return ask(queue, "move")
