"""Scheduled, and Retries: jobs that wait for their time."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, request

from gresque.client.delayed import DelayedJob
from gresque.errors import FilterError
from gresque.inspector.filters import OF_WAITING, Filter, parse
from gresque.inspector.schedulers import other_schedulers
from gresque.inspector.waiting import Page, delayed_page, retries_page
from gresque.jobs.label import job_label
from gresque.web.pages.show import html, show
from gresque.web.site import site

ROWS = 50
LABEL_CHARS = 300
FURTHEST = 10**12
"""Redis refuses a position beyond 64 bits."""


def scheduled() -> Response:
    wanted, problem = read_filter()
    found = delayed_page(site().store, _start(), ROWS, lambda job: means(wanted, job))
    return _show("scheduled", found, wanted, problem, others=other_schedulers(site().store))


def retries() -> Response:
    wanted, problem = read_filter()
    found = retries_page(site().store, _start(), ROWS, lambda each: means(wanted, each.job))
    return _show("retries", found, wanted, problem)


def ask_cancel() -> Response:
    """Which jobs are to be removed for good, as a question."""
    ids = request.args.getlist("job")
    if not ids:
        abort(400, "no job was selected")
    is_retry = request.args.get("of") == "retries"
    return html(
        "waiting_cancel.html", layout="shell.html", ids=ids,
        back="retries" if is_retry else "scheduled",
    )  # fmt: skip


def means(wanted: Filter, job: DelayedJob) -> bool:
    """Whether a filter means this job."""
    return wanted.matches(
        job_class=job.name, queue=job.queue, job_id=job.id, text=lambda: label(job)
    )


def label(job: DelayedJob) -> str:
    return job_label(job.shown, LABEL_CHARS)


def named(job: DelayedJob) -> tuple[str, str]:
    """The class of a job, and its arguments in brackets."""
    text, name = label(job), job.name
    return (name, text[len(name) :]) if name and text.startswith(name) else (text, "")


def read_filter() -> tuple[Filter, str]:
    """That of the address, and what is wrong with it."""
    try:
        return parse(request.args.get("q", ""), OF_WAITING), ""
    except FilterError as error:
        return Filter(), str(error)


def _start() -> int:
    return min(max(request.args.get("from", 0, int), 0), FURTHEST)


def _show(page: str, found: Page[Any], wanted: Filter, problem: str, **more: Any) -> Response:
    return show(
        page, number=f"{found.now:.0f}", found=found, wanted=wanted, problem=problem,
        label=label, named=named, step=ROWS, **more,
    )  # fmt: skip
