"""One job that waits in a queue: move it to another one, or change its arguments.

Each is done whole or not at all, and only while the job still waits as its operator saw it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from gresque.control.audit import acting
from gresque.errors import GresqueError, InvalidPayload
from gresque.jobs import payload
from gresque.jobs.unique import mark_in
from gresque.logs import fields
from gresque.store.store import Store
from gresque.text import is_utf8, printable

log = logging.getLogger("gresque.control")

CHANGED = "it does not wait there any more, or has changed meanwhile"


def move_one(store: Store, queue: str, raw: bytes, target: str, *, by: str) -> bool:
    """Move one waiting item to the end of another queue; False when it does not wait any more.
    Raises GresqueError when the target is no other queue."""
    if not target or not is_utf8(target) or target == queue:
        raise GresqueError(f"{printable(target)!r} is not the name of another queue")
    return _replace(store, queue, raw, target, raw, by=by, verb="queues move")


def edit_one(
    store: Store, queue: str, raw: bytes, args: Sequence[Any], kwargs: dict[str, Any], *, by: str
) -> bool:
    """Give one waiting job other arguments; it goes to the end of its queue, with its id. False
    when it does not wait as it was any more. Raises InvalidPayload for arguments that no payload
    can have, for an item that is no job, and for a unique job, whose lock goes by its arguments."""
    if mark_in(raw) is not None:
        raise InvalidPayload(
            "a unique job holds a lock for its arguments; remove it, and enqueue another one"
        )
    found = payload.decode(raw)
    payload.encode(found.name, args, kwargs, "id")  # raises for what it cannot carry
    sent = [*args, {**kwargs, payload.KWARGS: True}] if kwargs else [*args]
    members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    changed = msgspec.json.encode(members | {"args": msgspec.Raw(msgspec.json.encode(sent))})
    if changed == raw:
        return True
    return _replace(store, queue, raw, queue, changed, by=by, verb="queues edit")


def _replace(
    store: Store, queue: str, raw: bytes, target: str, changed: bytes, *, by: str, verb: str
) -> bool:
    job = f"job {payload.id_of(raw)} {payload.class_of(raw)} of queue {queue}"
    where = f"{job} to {target}" if target != queue else job
    with acting(store, by, verb, where) as act:
        done = act.changed(store.queues.move_item(queue, target, raw, changed), CHANGED)
    log.info(
        "%s: %s %s: %s", by, verb, printable(where), act.outcome,
        extra=fields("waiting_job_changed", by=by, verb=verb, queue=queue, target=target),
    )  # fmt: skip
    return done
