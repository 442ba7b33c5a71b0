"""What the API reads. The docstrings and types are also its description."""

from __future__ import annotations

from contextlib import nullcontext

from flask import abort

from gresque.client.delayed import DelayedJob
from gresque.client.locks import lock_of
from gresque.client.schedules import ScheduleEntry, Schedules
from gresque.inspector import filters
from gresque.inspector.audit import AuditEntry, read_audit
from gresque.inspector.filters import OF_RUNNING, OF_WAITING
from gresque.inspector.flow import Flow
from gresque.inspector.key_survey import KeySurvey
from gresque.inspector.redis_status import RedisStatus
from gresque.inspector.retries import WaitingRetry
from gresque.inspector.running import RunningJob
from gresque.inspector.running_page import Matching
from gresque.inspector.snapshot import ProcessRow, QueueRow
from gresque.inspector.waiting import delayed_page, retries_page
from gresque.web.api import shapes
from gresque.web.api.failed import shown_args
from gresque.web.api.shapes import FilteredPage, LocksAsked, OfQueue
from gresque.web.running_jobs import read_published
from gresque.web.site import site

SURVEY_SECONDS = 60.0
STATUS_SECONDS = 2.0


def overview() -> shapes.Overview:
    """The numbers of the whole system."""
    found = site().collector.last()
    counts, oldest = found.look.counts, found.oldest
    return shapes.Overview(
        at=found.at,
        stale_seconds=found.age,
        trouble=found.trouble.reason if found.trouble else None,
        done_rate=max(found.done_rate - found.failed_rate, 0.0),
        failed_rate=found.failed_rate,
        processed=counts.processed,
        failed=counts.failed,
        waiting=found.waiting,
        running=found.held,
        threads=found.threads,
        kept_failed=found.look.kept_failed,
        delayed=found.look.later,
        queues=len(found.queues),
        workers=len(found.look.workers),
        processes=len(found.processes),
        expected_processes=found.expected_processes,
        oldest_queue=oldest.name if oldest else None,
        oldest_seconds=oldest.age_seconds if oldest else None,
        longest_running_seconds=found.longest_seconds,
    )


def verdict() -> shapes.Verdict:
    """What is wrong, the worst first, as the overview says it."""
    found = site().collector.last().verdict
    return shapes.Verdict(
        found.count,
        [
            shapes.VerdictLine(
                kind=line.kind,
                severity=line.severity.name.lower(),
                title=line.title,
                sentence=line.sentence,
                cause=line.cause,
                actions=[*line.actions],
            )
            for line in found.lines
        ],
        found.calm,
    )


def queues() -> list[shapes.Queue]:
    """All queues, by name."""
    return [*map(_queue, site().collector.last(jobs=True).queues)]


def queue(query: OfQueue) -> shapes.Queue:
    """One queue."""
    found = site().collector.last(jobs=True).queue(query.queue)
    if found is None:
        abort(404, f"no job was ever put into queue {query.queue}")
    return _queue(found)


def _queue(row: QueueRow) -> shapes.Queue:
    return shapes.Queue(
        name=row.name,
        waiting=row.waiting,
        suspects=row.suspects,
        oldest_seconds=row.age_seconds,
        growth=row.growth,
        in_rate=row.in_rate,
        out_rate=row.out_rate,
        running=row.running,
        is_served=row.is_served,
        is_paused=row.is_paused,
        policy=row.policy_text,
    )


def processes() -> list[shapes.Process]:
    """All worker processes, by host and start, with what became of the jobs of each."""
    return [*map(_process, site().collector.last().processes)]


def other_workers() -> list[shapes.OtherWorker]:
    """The workers of other programs, Ruby's, Node's and PHP's, by id."""
    return [
        shapes.OtherWorker(
            id=each.id,
            host=each.host,
            queues=each.queues,
            heartbeat_age_seconds=each.heartbeat_age_seconds,
            seems_dead=each.seems_dead,
        )
        for each in site().collector.last().look.others
    ]


def _process(row: ProcessRow) -> shapes.Process:
    vitals, totals = row.look.vitals, row.look.totals
    return shapes.Process(
        id=row.id,
        name=row.name,
        host=row.host,
        pid=row.pid,
        master_pid=row.master_pid,
        state=row.state,
        started=row.started,
        beat_age_seconds=row.look.beat_age,
        threads=row.threads,
        held=row.look.held,
        rss_bytes=vitals.rss if vitals else None,
        cpu_share=row.cpu_share,
        lag_seconds=vitals.lag if vitals else None,
        blocked_seconds=row.blocked_seconds,
        queues=vitals.queues if vitals else "",
        version=vitals.version if vitals else "",
        **totals._asdict(),
    )


def running(query: FilteredPage) -> shapes.RunningPage:
    """Jobs that have been running for over a second: those that block others, then the oldest.

    The filter takes everything that the page does.
    """
    here = site()
    snapshot = here.collector.last(jobs=True)
    found = Matching.of(snapshot, filters.parse(query.filter, OF_RUNNING))
    jobs = read_published(snapshot, found.jobs[query.offset : query.offset + query.count])
    return shapes.RunningPage([*map(_running, jobs)], len(found.jobs), found.held)


def _running(job: RunningJob) -> shapes.Running:
    job_id, name = job.item.get("id"), job.item.get("class")
    return shapes.Running(
        id=None if job_id is None else str(job_id),
        job_class=name if isinstance(name, str) else None,
        args=shown_args(job.item),
        queue=job.queue,
        process=job.process,
        seconds=job.seconds,
        blocks_seconds=job.blocks_seconds,
    )


def audit(query: shapes.AuditAsked) -> list[AuditEntry]:
    """Who did what, the newest first; the last 10,000 actions are kept."""
    return read_audit(site().store, query.count, before=query.before, text=query.text)


def delayed(query: FilteredPage) -> shapes.DelayedPage:
    """Jobs that wait for their time, the next due one first.

    The filter takes class, queue, id and texts. A page reads 5,000 of them at most.
    """
    wanted = filters.parse(query.filter, OF_WAITING)
    found = delayed_page(site().store, query.offset, query.count, lambda job: means(wanted, job))
    return shapes.DelayedPage([*map(_delayed, found.rows)], found.next, found.total)


def retries(query: FilteredPage) -> shapes.RetryPage:
    """Jobs that wait to run again, the next one first. The filter is as of delayed jobs."""
    wanted = filters.parse(query.filter, OF_WAITING)
    found = retries_page(
        site().store, query.offset, query.count, lambda each: means(wanted, each.job)
    )
    return shapes.RetryPage([*map(_retry, found.rows)], found.next, found.total)


def means(wanted: filters.Filter, job: DelayedJob) -> bool:
    """Whether a filter means this job."""
    return wanted.matches(
        job_class=job.name,
        queue=job.queue,
        job_id=job.id,
        text=lambda: str(shown_args(job.shown)),
    )


def _delayed(job: DelayedJob) -> shapes.Delayed:
    return shapes.Delayed(job.id, job.due.timestamp(), job.queue, job.name, shown_args(job.shown))


def _retry(each: WaitingRetry) -> shapes.Retry:
    return shapes.Retry(
        id=each.id,
        due=each.due.timestamp(),
        queue=each.queue,
        job_class=each.name,
        args=shown_args(each.job.shown),
        attempt=each.attempt,
        exception=each.exception,
        reason=each.reason,
    )


def cron() -> list[shapes.CronEntry]:
    """The entries of the schedule, by name."""
    return [*map(_entry, Schedules(lambda: nullcontext(site().store)).list())]


def _entry(each: ScheduleEntry) -> shapes.CronEntry:
    return shapes.CronEntry(
        name=each.name,
        schedule=each.schedule,
        job=each.job,
        queue=each.queue,
        next=each.next.timestamp() if each.next else None,
        last=each.last.timestamp() if each.last else None,
        last_job_id=each.last_job_id,
        paused=each.paused,
        enabled=each.enabled,
        source=each.source,
        app=each.app,
        description=each.description,
        error=each.error,
    )


def limits() -> shapes.Limits:
    """The queues that are paused or limited, with their state, and the caps of single workers."""
    found = Flow.read(site().store)
    return shapes.Limits(
        found.all_paused,
        [
            shapes.LimitedQueue(
                queue=each.queue,
                paused=each.paused,
                concurrent=each.concurrent,
                in_flight=each.in_flight,
                rate=each.rate,
                burst=each.burst,
                starts_in_seconds=each.starts_in_seconds,
                waiting=found.waiting[each.queue],
            )
            for each in found.queues
        ],
        [
            shapes.WorkerCapRow(each.worker, each.queue, each.cap, each.in_flight)
            for each in found.workers
        ],
    )


def locks(query: LocksAsked) -> shapes.LockPage:
    """The locks of unique jobs, in no order.

    A page looks at 10,000 keys of the database at most; it may be empty and have a cursor.
    """
    found, cursor = site().store.locks.some(query.cursor, query.count)
    return shapes.LockPage(
        [
            shapes.LockRow(
                digest=each.digest,
                job_id=each.job_id,
                unique=each.unique,
                job_class=each.name,
                key=each.key,
                queue=each.queue,
                since=each.since,
                expires_in_seconds=each.expires_in,
                waiting=each.waiting,
                next_run=each.next_run,
            )
            for each in map(lock_of, found)
        ],
        cursor,
    )


def redis_status() -> RedisStatus:
    """The server: its memory, persistence, clients, speed and slow commands."""
    here = site()
    return here.cached.get("redis", STATUS_SECONDS, lambda: RedisStatus.read(here.store))


def key_survey() -> KeySurvey:
    """What the keys of Redis are for and what memory they take, from a sample; once a minute."""
    here = site()
    return here.cached.get("keys", SURVEY_SECONDS, lambda: KeySurvey.take(here.store))
