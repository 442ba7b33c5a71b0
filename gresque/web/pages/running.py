"""Running: what runs, what it waits on, and ending it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flask import Response, abort, request

from gresque.errors import FilterError
from gresque.inspector.filters import OF_RUNNING, Filter, parse
from gresque.inspector.running import RunningJob
from gresque.inspector.running_page import Facet, Matching
from gresque.inspector.snapshot import Snapshot
from gresque.jobs.ids import enqueued_at
from gresque.jobs.label import job_label
from gresque.processes.short_names import short_process
from gresque.web.actions import by
from gresque.web.addresses import here_with
from gresque.web.kills import KilledRow
from gresque.web.pages.show import show
from gresque.web.running_jobs import read_published
from gresque.web.site import site
from gresque.web.stacks import JobStack

PAGE = 50
TYPED_ABOVE = 50
"""A kill of more jobs than that wants their number typed."""
LABEL_CHARS = 400
FACET_TITLES = {"waits": "Waits on", "class": "Class", "queue": "Queue", "host": "Host"}


class Token(NamedTuple):
    """A term of the filter, with the address of the page without it."""

    key: str
    value: str
    without: str


class FacetRow(NamedTuple):
    text: str
    jobs: int
    href: str
    part: float


class ShownFacet(NamedTuple):
    title: str
    rows: list[FacetRow]
    others: int
    jobs_of_others: int


@dataclass(frozen=True)
class Row:
    """A job as the table shows it. `killed` is what became of a kill, where there was one."""

    job: RunningJob
    killed: KilledRow | None

    @property
    def id(self) -> str:
        return str(self.job.item.get("id") or "")

    @property
    def key(self) -> str:
        return f"{self.job.process} {self.job.slot} {self.id}"

    @property
    def name(self) -> str:
        return str(self.job.item.get("class") or "no job")

    @property
    def arguments(self) -> str:
        """`8812, format="a4"`."""
        label = job_label(self.job.item, LABEL_CHARS)
        start = len(self.name) + 1
        return label[start:-1] if label.endswith(")") else label[start:]

    @property
    def place(self) -> str:
        """`host:pid`."""
        return short_process(self.job.process)

    @property
    def has_ended(self) -> bool:
        return self.killed is not None and self.killed.is_over


class Detail(NamedTuple):
    """What an open row shows."""

    stack: JobStack
    payload: str
    waited: float | None
    enqueued: float | None
    neighbours: int


def page() -> Response:
    here = site()
    wanted, problem = read_filter()
    snapshot = here.collector.last(jobs=True)
    matching = Matching.of(snapshot, wanted)
    start = max(request.args.get("from", 0, int), 0)
    filtered = str(wanted)
    jobs = here.shared.get(
        snapshot,
        ("jobs", filtered, start),
        lambda: read_published(snapshot, matching.jobs[start : start + PAGE]),
    )
    facets = here.shared.get(snapshot, ("facets", filtered), lambda: matching.facets(snapshot))
    killed = here.kills.recent()
    rows = _rows(jobs, killed, wanted, start)
    opened = request.args.get("open", "")
    detail = next(
        (_detail(row.job, snapshot) for row in rows if row.id == opened and not row.has_ended), None
    )
    return show(
        "running",
        number=f"{snapshot.number}-{here.kills.version}",
        every=1,
        snapshot=snapshot,
        wanted=wanted,
        problem=problem,
        tokens=[_token(wanted, key, value) for key, value in wanted.terms],
        facets=_facets(facets, wanted),
        matching=matching,
        count=len(matching.jobs),
        rows_=rows,
        opened=opened,
        detail=detail,
        start=start,
        step=PAGE,
        under_way=sum(not row.is_over for row in killed.values()),
        idle=_idle(snapshot),
    )


def ask_kill() -> Response:
    """The question before all jobs that match are killed."""
    here = site()
    wanted, problem = read_filter()
    if problem:
        abort(400, problem)
    snapshot = here.collector.last(jobs=True)
    matching = Matching.of(snapshot, wanted)
    found = matching.jobs
    classes: Counter[str] = Counter()
    for each in found:
        held = snapshot.jobs.get(each.place) if snapshot.jobs is not None else None
        classes[(held.job if held else None) or "unknown"] += 1
    names = {row.id: row.host for row in snapshot.processes}
    hosts = Counter(names.get(each.process, "") for each in found)
    return show(
        "running_kill",
        number=0,
        every=0,
        wanted=wanted,
        count=len(found),
        classes=classes.most_common(4),
        hosts=hosts.most_common(4),
        at=snapshot.at,
        typed_above=TYPED_ABOVE,
    )


def matching_now(wanted: Filter, before: float) -> list[RunningJob]:
    """The jobs that match and had started by then."""
    here = site()
    snapshot = here.collector.last(jobs=True)
    found = [each for each in Matching.of(snapshot, wanted).jobs if each.since <= before]
    return read_published(snapshot, found)


def read_filter() -> tuple[Filter, str]:
    """The filter of this request: `q`, and `add`, which was typed. With a fault it means every job,
    and the second text says what is wrong."""
    found = Filter()
    for name in ("q", "add"):
        try:
            found = found & parse(request.values.get(name, ""), OF_RUNNING)
        except FilterError as error:
            return found, str(error)
    return found, ""


def _rows(
    jobs: Sequence[RunningJob], killed: Mapping[str, KilledRow], wanted: Filter, start: int
) -> list[Row]:
    """The jobs of the page, and at their old places those that were killed a moment ago."""
    rows = [Row(job, killed.get(str(job.item.get("id")))) for job in jobs]
    there = {row.id for row in rows}
    if start == 0:
        rows += [
            Row(each.job, each)
            for name, each in killed.items()
            if name not in there
            and each.job.is_wanted(wanted)
            and wanted.processes([each.job.process])
        ]
    return sorted(rows, key=lambda row: (row.job.blocks_seconds is None, row.job.since or 0.0))


def _token(wanted: Filter, key: str, value: str) -> Token:
    shown = f"{key}:" if key.isalpha() else key
    return Token(shown, value, _with_filter(wanted.minus(key, value)))


def _with_filter(wanted: Filter) -> str:
    """The first page of what this filter means."""
    return here_with(q=str(wanted), add=None, open=None, **{"from": None})


def _facets(found: Sequence[Facet], wanted: Filter) -> list[ShownFacet]:
    shown = []
    for facet in found:
        most = max((count for _, count in facet.values), default=1)
        rows = [
            FacetRow(
                text,
                count,
                _with_filter(wanted.plus(facet.key, text)),
                count / most,
            )
            for text, count in facet.values
            if text
        ]
        shown.append(ShownFacet(FACET_TITLES[facet.key], rows, facet.others, facet.jobs_of_others))
    return shown


def _detail(job: RunningJob, snapshot: Snapshot) -> Detail:
    at = enqueued_at(job.item.get("id"))
    process = snapshot.by_process.get(job.process)
    return Detail(
        stack=site().stacks.of(job, by()),
        payload=_payload(job),
        waited=None if at is None or job.since is None else max(job.since - at, 0.0),
        enqueued=at,
        neighbours=max(process.look.held - 1, 0) if process else 0,
    )


def _payload(job: RunningJob) -> str:
    args, kwargs = job.item.get("args"), job.item.get("kwargs")
    given = [args] if kwargs is None else [args, kwargs]
    return ", ".join(json.dumps(each, ensure_ascii=False) for each in given)


def _idle(snapshot: Snapshot) -> str:
    """Why nothing runs, where nothing does."""
    unserved = [row for row in snapshot.queues if row.waiting and not row.is_served]
    if not unserved:
        return "Nothing waits either." if not snapshot.waiting else "The workers take no jobs now."
    row = max(unserved, key=lambda each: each.waiting)
    return f"{row.waiting:,} wait in {row.name}, which no worker takes: gresque work -q {row.name}"
