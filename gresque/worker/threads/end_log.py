"""What the log says of the ends of jobs."""

from __future__ import annotations

import logging
import math
from time import monotonic
from typing import Any

import msgspec

from gresque.jobs import payload
from gresque.jobs.activejob import class_in
from gresque.jobs.attempts import attempt_of
from gresque.jobs.envelope import UNREADABLE, members_of
from gresque.jobs.retry_policy import Again
from gresque.logs import fields
from gresque.processes.tallies import (
    COUNTED,
    FAILED,
    FAILED_UNKEPT,
    FIRST,
    PUT_BACK,
    RETRIED,
    UNKNOWN,
    Tallies,
)
from gresque.raised import from_the_job, innermost
from gresque.text import shell
from gresque.worker.turns.in_flight import ReservedJob

log = logging.getLogger("gresque.job")

DESCRIBED_BYTES = 10_000
"""A longer payload is not decoded for the log."""


class _Names(msgspec.Struct):
    name: Any = msgspec.field(name="class", default="")
    id: Any = None


_names = msgspec.json.Decoder(_Names).decode


class EndLog:
    """Logs how jobs end.

    A failure is logged with its backtrace once in ten seconds for each class, exception and
    innermost frame; the others, and the jobs that a shutdown puts back, are counted, and the master
    logs their number (`processes.tally_log`). With -v each of them has a line. Done jobs have one
    only then.
    """

    def __init__(self, tallies: Tallies) -> None:
        self._tallies = tallies
        self.verbose = log.isEnabledFor(logging.DEBUG)

    def failed(
        self, job: ReservedJob, start: float, name: str, text: str, trace: list[str], *, kept: bool
    ) -> None:
        """The job failed with this exception; `kept`: it stands among the failed jobs."""
        job_class, job_id = _class_and_id(job)
        label = (FAILED if kept else FAILED_UNKEPT, job_class, name, innermost(trace))
        heard = self._tallies.note(label, job_id, log_first=True)
        first = heard is FIRST
        if not first and not self.verbose:
            return
        more: dict[str, object] = {}
        if first:
            more["traceback"] = "\n".join(from_the_job(trace))
        if kept and job_id:
            more["show"] = shell("gresque", "failed", "show", job_id)
        sentence = f"failed after {monotonic() - start:.3f} s"
        _log(
            logging.WARNING if first else logging.DEBUG,
            "job_failed",
            job,
            start,
            sentence,
            f"{name}: {text}",
            exception=name,
            attempt=attempt_of(members_of(job[2])),
            **more,
        )

    def put_off(
        self, job: ReservedJob, start: float, name: str, text: str, trace: list[str], again: Again
    ) -> None:
        """The job runs again later, after this exception."""
        if not again.counts:
            _log(logging.DEBUG, "job_snoozed", job, start, f"put off for {again.seconds:.1f} s")
            return
        job_class, job_id = _class_and_id(job)
        label = (RETRIED, job_class, name, innermost(trace))
        if not self.verbose and self._tallies.note(label, job_id, log_first=True) is COUNTED:
            return
        attempt = attempt_of(members_of(job[2]))
        _log(
            logging.INFO,
            "job_retried",
            job,
            start,
            f"attempt {attempt} failed, the next one comes in {again.seconds:.1f} s",
            f"{name}: {text}",
            exception=name,
            attempt=attempt,
            next_in_seconds=round(again.seconds, 3),
        )

    def unknown(self, job: ReservedJob, start: float, text: str, grace_seconds: float) -> None:
        """The job waits for its code. Its name is logged once, by one of all processes."""
        label = (UNKNOWN, _class_and_id(job)[0])
        heard = self._tallies.note(label, "", log_first=True, window_seconds=math.inf)
        if heard is COUNTED:
            return
        sentence = (
            f"its jobs wait {grace_seconds:g} s for a worker that knows them, then they fail (see "
            "gresque retries); the first one"
        )
        _log(logging.WARNING, "job_unknown", job, start, f"{text}; {sentence}")

    def put_back(self, job: ReservedJob, start: float) -> None:
        """A shutdown cut the job short, and it goes back into its queue."""
        job_class, job_id = _class_and_id(job)
        self._tallies.note((PUT_BACK, job_class, job[1]), job_id, log_first=False)
        if self.verbose:
            sentence = "cut short by a shutdown, back in its queue"
            _log(logging.INFO, "job_cut_short", job, start, sentence)

    def dropped(self, job: ReservedJob, late_seconds: float) -> None:
        sentence = f"dropped, {late_seconds:.1f} s too late"
        _log(logging.DEBUG, "job_expired", job, monotonic(), sentence)

    def item_put_back(self, job: ReservedJob, item: bytes) -> None:
        sentence = (
            f"another program retried an item of {len(item):,} bytes, which goes back as it was"
        )
        _log(logging.INFO, "item_put_back", job, monotonic(), sentence)

    def done(self, job: ReservedJob, start: float) -> None:
        _log(logging.DEBUG, "job_done", job, start, f"done in {monotonic() - start:.3f} s")


def _log(
    level: int,
    event: str,
    job: ReservedJob,
    start: float,
    sentence: str,
    reason: str = "",
    **named: object,
) -> None:
    if not log.isEnabledFor(level):
        return
    item = _item_of(job)
    log.log(
        level,
        "%s: %s%s",
        sentence,
        _describe(item, job),
        f": {reason}" if reason else "",
        extra=fields(
            event,
            job_id=item.get("id"),
            job=item.get("class"),
            queue=job[1],
            seconds=round(monotonic() - start, 3),
            **named,
        ),
    )


def class_of(job: ReservedJob) -> str:
    """Empty for an item that names none."""
    return _class_and_id(job)[0]


def id_of(job: ReservedJob) -> str:
    """Empty for an item that has none."""
    return _class_and_id(job)[1]


def _class_and_id(job: ReservedJob) -> tuple[str, str]:
    try:
        found = _names(job[2])
    except UNREADABLE:
        return "", ""
    return str(class_in(found.name, job[2])), "" if found.id is None else str(found.id)


def describe(job: ReservedJob) -> str:
    """`mail.send_email(42) 5f0c… from mail`, cut to a line. Never raises."""
    return _describe(_item_of(job), job)


def _item_of(job: ReservedJob) -> dict[str, Any]:
    return payload.loads(job[2][:DESCRIBED_BYTES])


def _describe(item: dict[str, Any], job: ReservedJob) -> str:
    if "class" not in item:
        return f"an item of {len(job[2]):,} bytes from {job[1]}"
    args, kwargs = item.get("args"), item.get("kwargs")
    arguments = ", ".join(
        [
            *(map(repr, args) if isinstance(args, list) else ["" if args is None else repr(args)]),
            *(f"{k}={v!r}" for k, v in (kwargs.items() if isinstance(kwargs, dict) else ())),
        ]
    )
    if len(arguments) > 200:
        arguments = arguments[:200] + "…"
    job_id = f" {item['id']}" if item.get("id") is not None else ""
    return f"{item['class']}({arguments}){job_id} from {job[1]}"
