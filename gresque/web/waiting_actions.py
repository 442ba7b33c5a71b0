"""Running and removing jobs that wait for their time: the view of a POST route."""

from __future__ import annotations

from flask import abort, request, url_for
from werkzeug.wrappers import Response

from gresque.client.delayed import DelayedJobs
from gresque.control import delayed
from gresque.text import counted
from gresque.web.actions import by, done
from gresque.web.site import site


def act() -> Response:
    """Run the jobs that were ticked now, or the one whose button it was; or remove them."""
    store, only = site().store, request.form.get("only")
    ids = [only] if only else request.form.getlist("job")
    is_retry = request.form.get("of") == "retries"
    back = url_for("retries" if is_retry else "scheduled")
    if not ids:
        return done("No job was selected.", kind="late", back=back)
    jobs = DelayedJobs(store)
    found = [job for job in map(jobs.find, ids) if job is not None]
    kind = "retries" if is_retry else "delayed"
    is_cancel = request.form.get("act") == "cancel"
    if is_cancel:
        changed = delayed.cancel(store, found, by=by(), verb=f"{kind} cancel")
    else:
        changed = delayed.run_now(store, found, by=by(), verb=f"{kind} run")
    count = sum(each.done for each in changed)
    if not count:
        reason = next((each.reason for each in changed if each.reason), delayed.GONE)
        abort(409, reason)
    text = f"{counted(count, 'job')} {'removed' if is_cancel else 'put into its queue'}."
    if count < len(ids):
        text += f" {counted(len(ids) - count, 'job')} did not wait any more."
    return done(text, back=back)
