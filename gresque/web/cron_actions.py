"""Acting on entries of the schedule: the view of a POST route."""

from __future__ import annotations

from flask import abort, request, url_for
from werkzeug.wrappers import Response

from gresque.control import schedules
from gresque.web.actions import by, done
from gresque.web.names import from_field
from gresque.web.site import site


def act() -> Response:
    name, verb = from_field(request.form.get("name", "")), request.form.get("act", "")
    return done(_act(name, verb), back=url_for("cron"))


def _act(name: str, verb: str) -> str:
    store = site().store
    if verb == "run":
        job_id = schedules.run_now(store, name, by=by())
        if job_id.duplicate:
            abort(409, f"job {job_id} of {name} has not ended, so none is enqueued")
        return f"{name}: job {job_id} is enqueued."
    if verb == "skip":
        skipped = schedules.skip(store, name, by=by())
        if skipped is None:
            abort(409, f"{name} has no next time")
        return f"{name} does not run at {skipped.isoformat(' ')}."
    if verb == "pause":
        changed = schedules.pause(store, name, by=by())
        return f"{name} is paused." if changed else f"{name} was paused already."
    if verb != "resume":
        abort(400, f"{verb} is no action")
    changed = schedules.resume(store, name, by=by())
    return f"{name} goes on." if changed else f"{name} was not paused."
