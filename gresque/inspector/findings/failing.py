"""Classes whose jobs fail now."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gresque.client.delayed import DelayedJobs
from gresque.clock import failed_at, parse_iso_8601, retried_at
from gresque.failure.backend import open_backend
from gresque.failure.failed_list import FailedList
from gresque.failure.search import Glance, Item, glance
from gresque.inspector.findings.finding import Finding, Level
from gresque.inspector.findings.view import View
from gresque.inspector.retries import read_retry
from gresque.store.commands import KILLED_BY_ID
from gresque.text import counted, printable, shell

WINDOW_SECONDS = 300
ENTRIES = 1000
"""The newest failures that are looked at, of all lists together."""
RETRIES = 300
"""Jobs of `later` that are looked at, the next due ones: the first further attempt comes after 16 s
by default."""
RETRIES_AT_ONCE = 100
MOST_BYTES = 4 * 1024 * 1024
DIRTY_EXIT = "DirtyExit"
LISTS = 50
"""Failed lists that are looked at, where each queue has one."""
WARN_FROM = 3
POISON = "PoisonJob"
"""The exception of a job that took several processes along: one is worth a warning."""
BROKEN_FROM = 10
"""Where failures are a twentieth of what ends, or more."""
BROKEN_SHARE = 0.05
BROKEN_ANYWAY = 100


@dataclass
class _Failures:
    """Those of one class, the newest first."""

    count: int = 0
    again: int = 0
    exceptions: Counter[str] = field(default_factory=Counter)
    newest: Glance = field(default_factory=Glance)


def failing(view: View) -> Iterator[Finding]:
    """The classes of the newest 1,000 failures of the last 5 minutes, and of jobs that failed in
    this time and are soon tried again; the most frequent first. Those that failed once or twice are
    one finding where they are many."""
    (failed, since), again = newest(view), tried_again(view)
    # Without those that were not read it is a rate of the time that the others are from.
    seconds = _seconds_since(since, view.at) if since else float(WINDOW_SECONDS)
    by_class = defaultdict[str, _Failures](_Failures)
    for each in [*failed, *again]:
        of_class = by_class[each.job_class or ""]
        if not of_class.count:
            of_class.newest = each
        of_class.count += 1
        of_class.exceptions[each.exception or "?"] += 1
    for each in again:
        by_class[each.job_class or ""].again += 1
    rate = (len(failed) + len(again)) / seconds
    share = rate / max(view.done_rate, rate, 1e-9)
    few: dict[str, _Failures] = {}
    for name, found in sorted(by_class.items(), key=lambda each: -each[1].count):
        if found.count >= WARN_FROM or POISON in found.exceptions:
            yield _of_class(name, found, seconds, share)
        else:
            few[name] = found
    if sum(found.count for found in few.values()) >= BROKEN_FROM:
        yield _of_many_classes([*few.values()], seconds, share)


def _of_class(name: str, found: _Failures, seconds: float, share: float) -> Finding:
    """`share` is that of all failures among the jobs that end."""
    ((exception, _),) = found.exceptions.most_common(1)
    others = len(found.exceptions) - 1
    error = " ".join((found.newest.error or "").split())[:200]
    message = (
        f"{name or 'jobs without a class'} failed {counted(found.count, 'time')} in "
        f"{_span(seconds)} with {exception}{f' and {others:,} more' if others else ''}"
        f"{f': {error}' if error else ''}"
    )
    if found.again:
        each = "all" if found.again == found.count else f"{found.again:,} of them"
        message += f"; {each} to be tried again"
    listing = ("retries",) if found.again == found.count else ("failed", "list")
    selected = ("--class", name) if name else ()
    return Finding(
        _level(found.count, share),
        "failing",
        printable(message),
        (shell("gresque", *listing, *selected),),
        {
            "class": name,
            "count": found.count,
            "tried_again": found.again,
            "seconds": seconds,
            "share_of_all": round(share, 3),
            "exceptions": dict(found.exceptions.most_common(10)),
            "queue": found.newest.queue,
        },
    )


def _of_many_classes(found: list[_Failures], seconds: float, share: float) -> Finding:
    """Classes that failed once or twice each, which together are many: what they share is broken,
    such as a host."""
    count, again = (sum(each.count for each in found), sum(each.again for each in found))
    exceptions = sum((each.exceptions for each in found), Counter[str]())
    exception, times = exceptions.most_common(1)[0]
    message = (
        f"jobs of {len(found):,} classes failed {count:,} times in {_span(seconds)}, no class "
        f"more than twice, {times:,} times with {exception}"
    )
    return Finding(
        _level(count, share),
        "failing",
        printable(message),
        (shell("gresque", *(("retries",) if again == count else ("failed", "groups"))),),
        {
            "class": None,
            "classes": len(found),
            "count": count,
            "tried_again": again,
            "seconds": seconds,
            "share_of_all": round(share, 3),
            "exceptions": dict(exceptions.most_common(10)),
        },
    )


def _level(count: int, share: float) -> Level:
    is_broken = count >= (BROKEN_FROM if share >= BROKEN_SHARE else BROKEN_ANYWAY)
    return Level.BROKEN if is_broken else Level.WARNING


def _span(seconds: float) -> str:
    return "5 min" if seconds >= WINDOW_SECONDS else f"{seconds:.0f} s"


def newest(view: View) -> tuple[list[Glance], str]:
    """Failures of the last 5 minutes, the newest first, without jobs that an operator killed by
    their ids; where each queue has a list, those of the lists with the newest ones. They are read
    in pages, and about 4 MB of them at most. And the time since when these are all that there are;
    empty where it is the 5 minutes."""
    oldest = retried_at(view.at - WINDOW_SECONDS)
    lists = open_backend(view.failure_backend, view.store).lists()
    if any(each.name for each in lists):
        lists = _with_newest(view, lists, oldest)
    found: list[Glance] = []
    since = ""
    for each in lists:
        some, is_all = _newest_of(each, oldest, ENTRIES // len(lists), MOST_BYTES // len(lists))
        found += some
        if some and not is_all:
            since = max(since, _time(some[-1]))
    return sorted(found, key=_time, reverse=True), since


def tried_again(view: View) -> list[Glance]:
    """Jobs whose last attempt failed in the last 5 minutes, among those that are due next."""
    found: list[Glance] = []
    jobs = DelayedJobs(view.store)
    read = 0
    for start in range(0, RETRIES, RETRIES_AT_ONCE):
        page = jobs.own_page(start, RETRIES_AT_ONCE)
        read += sum(len(job.raw) for job in page)
        for retry in filter(None, map(read_retry, page)):
            last = retry.history[-1] if retry.history and retry.unknown_since is None else None
            at = parse_iso_8601(last.at) if last is not None and not retry.snoozes else None
            if last is not None and at is not None and view.at - at < WINDOW_SECONDS:
                found.append(
                    Glance(
                        payload=Item(retry.name),
                        exception=last.error_class,
                        error=last.message,
                        queue=retry.queue,
                        failed_at=failed_at(at),
                    )
                )
        if len(page) < RETRIES_AT_ONCE or read > MOST_BYTES:
            break
    return found


def _newest_of(
    found_in: FailedList, oldest: str, count: int, most_bytes: int
) -> tuple[list[Glance], bool]:
    """And whether these are all since `oldest`."""
    found: list[Glance] = []
    for number, (_, raw) in enumerate(found_in.backwards(found_in.count())):
        if number >= count or most_bytes < 0:
            return found, False
        seen = glance(raw)
        most_bytes -= len(raw)
        if seen.failed_at:
            if seen.failed_at < oldest:
                break
            if not (seen.exception == DIRTY_EXIT and (seen.error or "").endswith(KILLED_BY_ID)):
                found.append(seen)
    return found, True


def _with_newest(view: View, lists: list[FailedList], oldest: str) -> list[FailedList]:
    """Those that had an entry lately, the newest first. In one round trip."""
    reads = view.store.reads()
    last = [(each, reads.ask(b"", "LINDEX", each.key, -1)) for each in lists]
    reads.run()
    times = {each: _time(glance(raw.value)) for each, raw in last}
    recent = [each for each in lists if times[each] >= oldest]
    return sorted(recent, key=times.__getitem__, reverse=True)[:LISTS]


def _time(seen: Glance) -> str:
    return seen.failed_at or ""


def _seconds_since(failed_at: str, now: float) -> float:
    """The time of an entry is in UTC. Never 0."""
    try:
        then = datetime.strptime(failed_at[:19], "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return float(WINDOW_SECONDS)
    return max(now - then.timestamp(), 1.0)
