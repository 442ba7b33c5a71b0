"""Killing running jobs: the views of POST routes."""

from __future__ import annotations

from flask import abort, request, url_for
from werkzeug.wrappers import Response

from gresque.text import counted
from gresque.web.actions import by, done
from gresque.web.pages import running
from gresque.web.running_jobs import running_with_ids
from gresque.web.site import site


def kill_jobs() -> Response:
    """Kill the jobs that were ticked, or the one whose button it was."""
    here = site()
    given = request.form.get("only")
    ids = [given] if given else request.form.getlist("job")
    if not ids:
        return done("No job was selected.", kind="late", back=url_for("running"))
    jobs = running_with_ids(ids)
    if not jobs:
        abort(409, "these jobs have ended" if len(ids) > 1 else "this job has ended")
    here.kills.start(jobs, by())
    missing = len(ids) - len(jobs)
    text = f"{counted(missing, 'job')} had ended already." if missing > 0 else ""
    return done(text, kind="late", back=url_for("running"))


def kill_matching() -> Response:
    """Kill all jobs of a filter that had started when the question was asked."""
    wanted, problem = running.read_filter()
    count, before = request.form.get("count", ""), request.form.get("before", 0.0, float)
    if problem:
        abort(400, problem)
    if count.isdecimal() and int(count) > running.TYPED_ABOVE:
        typed = request.form.get("typed", "").strip().replace(",", "")
        if typed != count:
            abort(400, f"the number is not {count}; nothing was killed")
    jobs = running.matching_now(wanted, before)
    if not count.isdecimal() or len(jobs) > int(count):
        abort(409, "more jobs match than were shown; nothing was killed")
    killed = site().kills.start(jobs, by())
    text = f"Asked to kill {counted(killed, 'job')}; their rows show what becomes of it."
    return done(text, back=url_for("running", q=wanted))
