"""What the pages of queues do."""

from __future__ import annotations

from collections.abc import Mapping

from flask import abort, request, url_for
from werkzeug.wrappers import Response

from gresque.control import flow
from gresque.control.queues import clear_jobs, move_jobs, remove_waiting
from gresque.control.waiting import edit_one, move_one
from gresque.errors import GresqueError
from gresque.text import counted, printable
from gresque.web.actions import by, done, json_field
from gresque.web.bulk import Bulk
from gresque.web.pages.queues import find
from gresque.web.parts import ask_parts, without
from gresque.web.site import site

GONE = "this job does not wait any more: a worker has taken it; nothing was done"


def pause(queue: str) -> Response:
    who = by()
    found = ask_parts(lambda part: flow.pause(part.store, queue, by=who))
    text = "is paused: jobs that run go on" if any(found.values) else "was paused already"
    return _done(queue, text, found.missing)


def unpause(queue: str) -> Response:
    who = by()
    found = ask_parts(lambda part: flow.unpause(part.store, queue, by=who))
    return _done(queue, "goes on" if any(found.values) else "was not paused", found.missing)


def limit(queue: str) -> Response:
    """Set the cap and the rate of a queue; an empty field removes one. Raises GresqueError."""
    cap, rate = (request.form.get(name, "").strip() for name in ("cap", "rate"))
    try:
        count = flow.checked_cap(int(cap)) if cap else None
    except ValueError:
        raise GresqueError(f"{printable(cap)!r} is no cap; give a number such as 20") from None
    change = flow.limit(
        site().store, queue, count, flow.Rate.parse(rate) if rate else None,
        drop=("" if cap else flow.CAP) + ("" if rate else flow.RATE), by=by(),
    )  # fmt: skip
    return done(f"Queue {queue}: {change.after}.", back=url_for("queue", queue=queue))


def remove(queue: str) -> Response:
    """Remove one waiting job."""
    if not remove_waiting(site().store, queue, [_item(queue)], by=by()):
        abort(409, GONE)
    return done("The job is removed.", back=url_for("queue", queue=queue))


def move_item(queue: str) -> Response:
    """Move one waiting job. Raises GresqueError."""
    target = request.form.get("target", "").strip()
    if not move_one(site().store, queue, _item(queue), target, by=by()):
        abort(409, GONE)
    return done(f"The job waits in {target} now.", back=url_for("queue", queue=queue))


def edit_item(queue: str) -> Response:
    """Give one waiting job other arguments. Raises InvalidPayload."""
    args = json_field(request.form.get("args", ""), "the arguments", list, "[]")
    kwargs = json_field(request.form.get("kwargs", ""), "the keyword arguments", dict, "{}")
    if not edit_one(site().store, queue, _item(queue), args, kwargs, by=by()):
        abort(409, GONE)
    text = f"The job waits at the end of {queue}, with these arguments."
    return done(text, back=url_for("queue", queue=queue))


def _item(queue: str) -> bytes:
    raw = find(queue, request.form.get("at", ""))
    if raw is None:
        abort(409, GONE)
    return raw


def clear(queue: str) -> Response:
    """Remove all jobs that wait, once the name of the queue was typed."""
    if request.form.get("typed", "") != queue:
        abort(400, "type the name of the queue as it is; nothing was removed")
    store, who, size = site().store, by(), _size(queue)

    def work(bulk: Bulk) -> str:
        return f"{counted(clear_jobs(store, queue, size, bulk, by=who), 'job')} removed"

    site().bulks.start(f"Removing {counted(size, 'job')} of queue {queue}", work, by=who)
    return done("The removal goes on in the background.", back=url_for("queues"))


def move(queue: str) -> Response:
    """Move all jobs that wait to the end of another queue."""
    store, who, size = site().store, by(), _size(queue)
    target = request.form.get("target", "").strip()
    if not target or target == queue:
        abort(400, "give the name of another queue; nothing was moved")

    def work(bulk: Bulk) -> str:
        return f"{counted(move_jobs(store, queue, target, size, bulk, by=who), 'job')} moved"

    title = f"Moving {counted(size, 'job')} of queue {queue} to {target}"
    site().bulks.start(title, work, by=who)
    return done("The move goes on in the background.", back=url_for("queues"))


def _size(queue: str) -> int:
    """No more than wait now: what comes meanwhile stays."""
    return site().store.queues.size(queue)


def _done(queue: str, text: str, missing: Mapping[str, str]) -> Response:
    kind = "late" if missing else "ok"
    text = f"Queue {queue} {text}{without(missing)}."
    return done(text, kind=kind, back=url_for("queue", queue=queue))
