"""Failed: the groups on the left, the entries of one of them, or of all, on the right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from flask import Response, abort, request, url_for

from gresque.clock import failed_at
from gresque.errors import FilterError
from gresque.failure.failed_list import FailedJob
from gresque.failure.failed_time import failed_seconds
from gresque.failure.retry import prepare_retry
from gresque.inspector.failed_groups import FailedGroup, GroupKey
from gresque.inspector.failed_index import IndexProgress
from gresque.inspector.failed_search import PAGE_HITS, FailedSearch
from gresque.inspector.filters import ANY, ID, OF_FAILED, TEXT, Filter, WantedFailed, parse
from gresque.inspector.job_log import read_job_log
from gresque.jobs import payload
from gresque.jobs.label import job_label
from gresque.processes.short_names import short_worker
from gresque.web.bulk import Bulk
from gresque.web.failures import reference
from gresque.web.frames import own_first, short_place
from gresque.web.pages.show import html, show
from gresque.web.site import site
from gresque.web.values import pretty

GROUPS, ALL_GROUPS = 20, 500
WAIT_SECONDS = 0.1
"""The index may have this long before the page is shown: enough for some ten thousand failures."""
MESSAGE_CHARS = 10_000
TYPED_ABOVE = 50
"""Who acts on more of them types their number."""


@dataclass(frozen=True)
class Asked:
    """What the address asks for. `absent` are the fields that failures of the group do not have;
    others without a value may be any. `problem` says why its filter cannot be read."""

    text: str
    filter: Filter
    group: GroupKey
    absent: frozenset[str]
    page: int
    problem: str = ""

    @property
    def wanted(self) -> WantedFailed:
        return WantedFailed(**self.group._asdict(), absent=self.absent, filter=self.filter)

    @property
    def is_search(self) -> bool:
        """Whether entries have to be read to find those that match."""
        return bool(self.filter.values(TEXT) or self.filter.values(ID))

    def query(self, **changes: Any) -> dict[str, Any]:
        """For `url_for`: the same, but for these."""
        given = {"q": self.text, **_parameters(self.group, self.absent), **changes}
        return {name: value for name, value in given.items() if value not in ("", None)}


_NAMES = {"job_class": "class", "exception": "exception", "queue": "queue", "frame": "frame"}


def _parameters(group: GroupKey, absent: frozenset[str]) -> dict[str, str | None]:
    """`none` names what failures of the group do not have: an empty value would mean any."""
    given = {_NAMES[name]: value for name, value in group._asdict().items()}
    return given | {"none": " ".join(sorted(_NAMES[name] for name in absent))}


def asked() -> Asked:
    """Of an address, or of a form that stands on such a page."""
    given = request.values
    group = GroupKey(**{field: given.get(name) or None for field, name in _NAMES.items()})
    none = given.get("none", "").split()
    absent = frozenset(field for field, name in _NAMES.items() if name in none)
    text = given.get("q", "").strip()
    page = min(given.get("page", 0, type=int), 1_000_000)
    try:
        return Asked(text, parse(text, OF_FAILED), group, absent, max(page, 0))
    except FilterError as error:
        return Asked(text, ANY, group, absent, 0, str(error))


def page() -> Response:
    failures, asks = site().failures, asked()
    progress = failures.index.wait(WAIT_SECONDS)
    groups = [] if asks.problem else failures.index.groups(WantedFailed(filter=asks.filter))
    most = ALL_GROUPS if request.args.get("groups") == "all" else GROUPS
    search = _search(asks)
    jobs, total, has_more = _entries(asks, search)
    bulks = site().bulks.shown()
    return show(
        "failed",
        number=_number(search, bulks),
        every=1,
        asks=asks,
        progress=progress,
        counting=_counting(progress),
        groups=groups[:most],
        more_groups=len(groups) - most,
        chosen=_chosen(asks, groups),
        jobs=[Row.of(job) for job in jobs],
        total=total,
        waiting=sum(each.waiting for each in groups if each.key.matches(asks.wanted)),
        has_more=has_more,
        search=search,
        PAGE=PAGE_HITS,
        short_place=short_place,
        of_group=lambda group: asks.query(
            **_parameters(group.key, group.key.absent), page=None, groups=None
        ),
    )


def _number(search: FailedSearch | None, bulks: list[Bulk]) -> str:
    """Changes with what the page shows."""
    parts: list[object] = [site().failures.index.version]
    if search is not None:
        parts += [search.looked_at, search.found, search.is_over]
    for bulk in bulks:
        parts += [bulk.token, bulk.done, bulk.is_waiting, bulk.is_cancelled, bulk.is_over]
    return ".".join(map(str, parts))


def _search(asks: Asked) -> FailedSearch | None:
    if not asks.is_search or asks.problem:
        return None
    stops = bool(request.args.get("stop"))
    search = site().failures.searches.of(asks.wanted, again=not stops)
    if stops:
        search.cancel()
    return search


def _entries(asks: Asked, search: FailedSearch | None) -> tuple[list[FailedJob], int, bool]:
    """The entries of the page, how many match as far as it is known, and whether more follow."""
    if asks.problem:
        return [], 0, False
    if search is not None:
        found = search.wait(asks.page, WAIT_SECONDS)
        return found, search.found, search.found > (asks.page + 1) * PAGE_HITS
    shown = site().failures.index.page(asks.wanted, asks.page * PAGE_HITS, PAGE_HITS)
    return list(shown.jobs), shown.total, shown.has_more


def _counting(progress: IndexProgress) -> str:
    """How much of the groups is known."""
    if progress.is_away:
        return "Redis does not answer; these are the groups as they were last"
    if progress.is_complete:
        return ""
    return f"groups of the newest {progress.read:,}; counting the rest, {progress.percent} %"


def _chosen(asks: Asked, groups: list[FailedGroup]) -> FailedGroup | None:
    """The group that the address names, if it names one."""
    if asks.group == GroupKey() and not asks.absent:
        return None
    return next((group for group in groups if group.key == asks.group), None)


@dataclass(frozen=True)
class Row:
    """An entry in a table."""

    job: FailedJob
    reference: str
    at: float | None
    job_class: str
    label: str
    exception: str
    error: str
    queue: str
    worker: str

    @classmethod
    def of(cls, job: FailedJob) -> Row:
        label = job_label(job.item) if job.item else "an item that is no job"
        name = str(job.item.get("class") or "")
        return cls(
            job,
            reference(job),
            failed_seconds(job.text("failed_at")),
            name,
            label[len(name) :] if name and label.startswith(name) else label,
            job.text("exception"),
            job.text("error"),
            job.text("queue"),
            job.text("worker"),
        )

    @property
    def time(self) -> str:
        return failed_at(self.at) if self.at is not None else ""

    @property
    def where(self) -> str:
        return short_worker(self.worker) if self.worker else ""


def entry() -> Response:
    """One failed job."""
    failures = site().failures
    job = failures.find(request.args.get("at", ""))
    if job is None:
        abort(404, "this failed job is not in its place any more: it was removed, or many were")
    row = Row.of(job)
    lines = [line for line in job.backtrace if isinstance(line, str)]
    return show(
        "failed_entry",
        number=f"{row.reference}{job.retried}",
        row=row,
        job=job,
        frames=own_first(lines),
        lines=lines,
        message=row.error[:MESSAGE_CHARS],
        cut=max(len(row.error) - MESSAGE_CHARS, 0),
        shown=pretty(job.item),
        log=read_job_log(failures.store, job.job_id) if job.job_id else [],
        neighbours=[Row.of(each) for each in failures.near(job)],
        group={
            "class": row.job_class or None,
            "exception": row.exception or None,
            "queue": row.queue or None,
        },
    )


def edit() -> Response:
    """A form with the job as it would be retried."""
    job = site().failures.find(request.args.get("at", ""))
    if job is None:
        abort(404, "this failed job is not in its place any more")
    item = payload.read(prepare_retry(job.raw, "").item)
    args, kwargs = payload.split(item.get("args") or [])
    kwargs = kwargs or item.get("kwargs") or {}
    return html(
        "failed_edit.html",
        layout="shell.html",
        number=0,
        reference=reference(job),
        queue=job.text("queue"),
        job_class=str(item.get("class") or ""),
        args=pretty(list(args)),
        kwargs=pretty(kwargs) if kwargs else "",
    )


def download() -> Response:
    """All that match as NDJSON, the newest first, as they stand in Redis."""
    asks = asked()
    if asks.problem:
        abort(400, asks.problem)
    backend = site().failures.backend

    def lines() -> Iterator[bytes]:
        for job in backend.newest(0, 2**62, asks.wanted):
            yield msgspec.json.encode(job.as_dict()) + b"\n"

    return Response(
        lines(),
        mimetype="application/x-ndjson",
        headers={"Content-Disposition": 'attachment; filename="failed.ndjson"'},
    )


def ask(verb: str) -> Response:
    """The question before something is done to all that match."""
    asks = asked()
    if asks.problem:
        abort(400, asks.problem)
    failures = site().failures
    progress = failures.index.wait(WAIT_SECONDS)
    groups = failures.index.groups(asks.wanted)
    count = sum(group.count if verb == "remove" else group.waiting for group in groups)
    return html(
        "failed_ask.html",
        layout="shell.html",
        number=0,
        verb=verb,
        asks=asks,
        count=count,
        is_exact=progress.is_complete and not asks.is_search,
        typed=count > TYPED_ABOVE,
        groups=groups[:3],
        more_groups=len(groups) - 3,
        back=url_for("failed", **asks.query()),
    )


def ask_retry() -> Response:
    return ask("retry")


def ask_remove() -> Response:
    return ask("remove")
