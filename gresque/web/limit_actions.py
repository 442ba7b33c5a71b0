"""Pausing, limiting, counting again, releasing locks: the views of POST routes."""

from __future__ import annotations

from collections.abc import Callable

from flask import abort, request, url_for
from werkzeug.wrappers import Response

from gresque.control import flow
from gresque.control.counts import verify
from gresque.control.locks import release_lock
from gresque.text import counted
from gresque.web.actions import by, done
from gresque.web.names import from_field
from gresque.web.site import site


def act() -> Response:
    """Pause a queue, go on with it, or count again."""
    return _act(_ACTIONS)


def change() -> Response:
    """Set and remove limits, pause all queues."""
    return _act(_CHANGES)


def _act(actions: dict[str, Callable[[str], str]]) -> Response:
    verb = request.form.get("act", "")
    action = actions.get(verb)
    if action is None:
        abort(400, f"{verb} is no action")
    # The field that is typed has the name itself, that of a row the form of `to_field`.
    row = from_field(request.form.get("row", ""))
    return done(action(row or request.form.get("queue", "")), back=url_for("limits"))


def release() -> Response:
    digest, job_id = request.form.get("digest", ""), from_field(request.form.get("job", ""))
    lock = release_lock(site().store, digest, job_id, by=by())
    if lock is None:
        abort(409, "this job does not hold the lock any more")
    return done(f"The lock {lock.key or digest} is released.", back=url_for("limits"))


def _pause(queue: str) -> str:
    changed = flow.pause(site().store, flow.checked_queue(queue), by=by())
    return f"{queue} is paused." if changed else f"{queue} was paused already."


def _unpause(queue: str) -> str:
    changed = flow.unpause(site().store, flow.checked_queue(queue), by=by())
    return f"{queue} goes on." if changed else f"{queue} was not paused."


def _pause_all(_: str) -> str:
    changed = flow.pause_all(site().store, by=by())
    return "All queues are paused." if changed else "All queues were paused already."


def _unpause_all(_: str) -> str:
    changed = flow.unpause_all(site().store, by=by())
    return "All queues go on." if changed else "The queues were not all paused."


def _set(queue: str) -> str:
    concurrent, rate = _given("concurrent"), _given("rate")
    burst = _number("burst", _given("burst"))
    if not concurrent and not rate:
        abort(400, "give how many run at once, a rate such as 100/m, or both")
    change = flow.limit(
        site().store,
        flow.checked_queue(queue),
        flow.checked_cap(_number("at once", concurrent)) if concurrent else None,
        flow.Rate.parse(rate, burst) if rate else None,
        by=by(),
    )
    return f"{queue}: {change.after}."


def _no_cap(queue: str) -> str:
    return _drop(queue, flow.CAP)


def _no_rate(queue: str) -> str:
    return _drop(queue, flow.RATE)


def _drop(queue: str, letters: str) -> str:
    checked = flow.checked_queue(queue)
    change = flow.limit(site().store, checked, None, None, drop=letters, by=by())
    return f"{queue}: {change.after}."


def _verify(_: str) -> str:
    drifts = verify(site().store, by=by())
    if not drifts:
        return "No count of jobs in flight had to be corrected."
    return f"{counted(len(drifts), 'count')} of jobs in flight corrected."


def _given(name: str) -> str:
    return request.form.get(name, "").strip()


def _number(name: str, text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 12:
        abort(400, f"{name}: {text} is no number")
    return int(text)


_ACTIONS = {"pause": _pause, "unpause": _unpause, "verify": _verify}
_CHANGES = {
    "set": _set, "no_cap": _no_cap, "no_rate": _no_rate, "pause_all": _pause_all,
    "unpause_all": _unpause_all,
}  # fmt: skip
