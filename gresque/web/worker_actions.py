"""What the page of workers does: orders to processes, and pruning workers of other programs."""

from __future__ import annotations

from flask import abort, request, url_for
from werkzeug.wrappers import Response

from gresque.control.processes import Order, Ordered, order
from gresque.control.workers import NotPruned, Pruned, prune
from gresque.processes.short_names import short_process
from gresque.text import counted
from gresque.web.actions import by, done
from gresque.web.parts import ask_parts, by_part
from gresque.web.site import Site

WAIT_SECONDS = 1.5
"""A process whose loop turns answers within this time. The order goes on without the page."""
SHOWN = 3


def give_order() -> Response:
    """Order something of the processes that a form names: one, or those of a worker."""
    wanted, names = request.form.get("do", ""), request.form.getlist("process")
    if wanted not in {*Order}:
        abort(400, "there is no such order")
    shards, operator = by_part(names), by()

    def give(part: Site) -> list[Ordered]:
        known = set(part.store.processes.ids())
        there = [each for each in shards.get(part.shard, ()) if each in known]
        if not there:
            return []
        return order(part.store, Order(wanted), there, by=operator, wait_seconds=WAIT_SECONDS)

    found = [each for some in ask_parts(give, None).values for each in some]
    if not found:
        abort(409, "these processes have gone; nothing was done")
    texts = [f"{short_process(each.process)} {each.outcome}" for each in found]
    if len(texts) > SHOWN:
        texts[SHOWN:] = [f"and {counted(len(texts) - SHOWN, 'more process', 'more processes')}"]
    answered = all(each.state is not None for each in found)
    return done("; ".join(texts) + ".", kind="ok" if answered else "late", back=url_for("workers"))


def prune_worker() -> Response:
    """Prune a dead worker of another program; one that gave a heartbeat lately is refused."""
    worker, operator = request.form.get("worker", ""), by()

    def prune_there(part: Site) -> Pruned | NotPruned:
        backend = part.settings.failure_backend
        try:
            return prune(part.store, worker, by=operator, failure_backend=backend)
        except NotPruned as error:
            return error

    answers = ask_parts(prune_there, None).values
    pruned = [each for each in answers if isinstance(each, Pruned)]
    if not pruned:
        return done(f"{answers[0]}.", kind="late", back=url_for("workers"))
    jobs = sum(len(each.jobs) for each in pruned)
    failed = f"; {counted(jobs, 'job')} of it failed" if jobs else ""
    return done(f"{worker} is pruned{failed}.", back=url_for("workers"))
