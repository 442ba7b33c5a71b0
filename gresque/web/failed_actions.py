"""What the page of failed jobs does: retry and remove, some or all that match."""

from __future__ import annotations

from flask import abort, request, url_for
from werkzeug.wrappers import Response

from gresque.control.remove import remove_all_failed, remove_failed
from gresque.control.retry import retry_all_failed, retry_edited, retry_failed
from gresque.failure.failed_list import FailedJob
from gresque.inspector.filters import WantedFailed
from gresque.text import counted
from gresque.web.actions import by, done, json_field
from gresque.web.bulk import Bulk
from gresque.web.pages.failed import TYPED_ABOVE, asked
from gresque.web.site import site

GONE = "not in its place any more"


def selected() -> Response:
    """Retry or remove the entries that a form names; a button of a row names one."""
    one = request.form.get("retry")
    named = [one] if one else request.form.getlist("at")
    verb = "retry" if one else request.form.get("do")
    found = [site().failures.find(each) for each in named]
    jobs = [job for job in found if job is not None]
    if not named:
        return done("Nothing is selected.", kind="late", back=url_for("failed"))
    if not jobs:
        abort(409, f"{counted(len(named), 'failed job')}: {GONE}; nothing was done")
    back = url_for("failed") if verb == "remove" and len(named) == 1 else ""
    count = _remove(jobs) if verb == "remove" else _retry(jobs)
    text = f"{counted(count, 'failed job')} {'removed' if verb == 'remove' else 'retried'}"
    gone = len(named) - count
    if gone:
        return done(f"{text}; {gone:,} {GONE}", kind="late", back=back)
    return done(text, back=back)


def _retry(jobs: list[FailedJob]) -> int:
    return sum(retry_failed(site().failures.backend, jobs, by=by()))


def _remove(jobs: list[FailedJob]) -> int:
    return remove_failed(site().failures.backend, jobs, by=by())


def edit() -> Response:
    """Retry one as it was written into the form."""
    given = request.form
    job = site().failures.find(given.get("at", ""))
    if job is None:
        abort(409, f"this failed job is {GONE}; nothing was done")
    args = json_field(given.get("args", ""), "the arguments", list, "[]")
    kwargs = json_field(given.get("kwargs", ""), "the keyword arguments", dict, "{}")
    queue, name = given.get("queue", "").strip(), given.get("class", "").strip()
    if not retry_edited(site().failures.backend, job, queue, name, args, kwargs, by=by()):
        abort(409, f"this failed job is {GONE}; nothing was done")
    return done(f"{name} is in queue {queue}, as it was written.", back=url_for("failed"))


def retry_all() -> Response:
    """Retry all that match, in the background."""
    wanted = _wanted()
    backend, who = site().failures.backend, by()

    def work(bulk: Bulk) -> str:
        found = retry_all_failed(backend, wanted, bulk, by=who)
        text = f"{counted(found.retried, 'failed job')} retried"
        if found.retried_before:
            text += f", {found.retried_before:,} had been before"
        if found.refused:
            text += f", {found.refused:,} could not be: they name no job"
        return text

    site().bulks.start(f"Retrying {wanted}", work, by=who)
    return done("The retry goes on in the background.", back=url_for("failed"))


def remove_all() -> Response:
    """Remove all that match, in the background."""
    wanted = _wanted()
    backend, who = site().failures.backend, by()

    def work(bulk: Bulk) -> str:
        count = remove_all_failed(backend, wanted, bulk, by=who)
        return f"{counted(count, 'failed job')} removed"

    site().bulks.start(f"Removing {wanted}", work, by=who)
    return done("The removal goes on in the background.", back=url_for("failed"))


def cancel(token: str) -> Response:
    """End a long action where it is; what it did is kept."""
    if not site().bulks.cancel(token):
        abort(409, "it is over")
    return done("It ends after its current step; what is done is kept.", back=url_for("failed"))


def _wanted() -> WantedFailed:
    """What the form means, once the number was typed that it asks for."""
    asks = asked()
    if asks.problem:
        abort(400, asks.problem)
    count = request.form.get("count", 0, type=int)
    if count > TYPED_ABOVE and request.form.get("typed", "").replace(",", "").strip() != str(count):
        abort(400, f"type {count} to confirm; nothing was done")
    return asks.wanted
