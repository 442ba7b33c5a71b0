"""`gresque status`."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import (
    coloured,
    counted,
    ellipsis_for,
    json_option,
    terminal_width,
    write,
)
from gresque.cli.stores import Stores, open_stores
from gresque.cli.table import cut, wrap
from gresque.clock import duration, log_time
from gresque.errors import RedisUnavailable
from gresque.shards import entry_of
from gresque.text import encodable, printable, shell

if TYPE_CHECKING:
    from gresque.inspector.findings.finding import Finding
    from gresque.inspector.look import Counts
    from gresque.inspector.totals import Totals
    from gresque.store.store import Store

BETWEEN_SECONDS = 1.0
"""From the first look to the second one."""
WATCH_SECONDS = 2.0
TOTALS = 4
"""Lines below the findings, the empty one included."""
LINES_OF_A_FINDING = 2
"""Its message is cut after these, on a terminal."""
_HOME_AND_CLEAR = "\x1b[H\x1b[2J"


@click.command(name="status")
@click.option("--strict", is_flag=True, help="Exit with 1 also for warnings.")
@click.option("--watch", is_flag=True, help="Look again every 2 s, until Ctrl-C.")
@setting_options("redis_url", "namespace", "failure_backend")
@json_option
def command(flags: dict[str, Any], strict: bool, watch: bool, as_json: bool) -> int:
    """Show what is wrong, the worst first, each with the command to type next; then the totals.

    It looks twice, a second apart, and at no whole queue or list. What it finds: a Redis that is
    full or takes no writes; a job that blocks its process; a process that stands still or is
    silent; classes that fail, among the newest 1,000 failures of the last 5 minutes; queues that no
    worker serves, that grow or are late, with the limits that may be the cause; delayed jobs whose
    time has passed; processes that died, or wait for long jobs before they leave; paused queues;
    jobs that wait apart since their process died.

    \b
    Exit code:
      0  nothing is broken (with --strict: there is not even a warning)
      1  something is broken, or Redis does not answer

    \b
    Examples:
      gresque status
      gresque status --watch
      gresque status --json | jq -r '.findings[].message'
      gresque status --strict > status.txt || mail -s gresque ops < status.txt
    """
    from gresque.inspector.look import Counts

    if watch and (as_json or not sys.stdout.isatty()):
        raise click.UsageError("--watch redraws a terminal; leave it out in a pipe and with --json")
    failure_backend = load_settings(flags).failure_backend
    if watch:
        _watch(flags, failure_backend)
    with open_stores(flags) as stores:
        stores.are_named = True
        began = time.monotonic()
        before = stores.ask(Counts.take)
        # The others have been counted while a shard that hangs was waited for.
        time.sleep(max(began + BETWEEN_SECONDS - time.monotonic(), 0))
        report = _Report.make(stores, failure_backend, before)
        stores.document(as_json, _as_dict(report), lambda: _screen(report))
    return 1 if any(each.is_broken or strict for each in report.findings) else 0


class _Report(NamedTuple):
    """What is wrong, and the totals, of one shard or of all; and what they grow from."""

    findings: Sequence[Finding]
    totals: Totals
    counts: dict[str, Counts]

    @classmethod
    def make(cls, stores: Stores, failure_backend: str, before: dict[str, Counts]) -> _Report:
        """The second look, at the shards that had a first one."""
        from gresque.inspector.findings.all import find_all, worst_first
        from gresque.inspector.findings.finding import shard_away
        from gresque.inspector.findings.view import View
        from gresque.inspector.look import Look
        from gresque.inspector.totals import Totals

        def look(store: Store) -> tuple[list[Finding], Totals, Counts]:
            first = before[stores.name_of(store)]
            view = View(store, failure_backend, first, Look.take(store, failure_backend))
            return find_all(view), Totals.of(view), view.look.counts

        found = stores.ask(look, takes_long=True, only=before)
        totals = Totals.merge({shard: each for shard, (_, each, _) in found.items()})
        counts = {shard: each for shard, (_, _, each) in found.items()}
        if not stores.are_many:
            return cls(found[""][0], found[""][1], counts)
        away = [shard_away(*each) for each in stores.missing.items()]
        named = [each.on_shard(shard) for shard, (some, *_) in found.items() for each in some]
        return cls(worst_first([*away, *named]), totals, counts)


def _watch(flags: dict[str, Any], failure_backend: str) -> NoReturn:
    """Draw the screen every 2 s, also while Redis is away. Ctrl-C ends it."""
    from gresque.inspector.look import Counts

    before: dict[str, Counts] = {}
    try:
        while True:
            try:
                with open_stores(flags) as stores:
                    stores.are_named = True
                    if not before:
                        before = stores.ask(Counts.take)
                        time.sleep(BETWEEN_SECONDS)
                    elif new := set(stores.names) - set(before):
                        before |= stores.ask(Counts.take, only=new)
                    report = _Report.make(stores, failure_backend, before)
                    lines = list(_screen(report))
                before = report.counts
            except RedisUnavailable as error:
                before = {}
                lines = [*_wrapped(f"{_mark(True)} {error}", "red")]
            write([_HOME_AND_CLEAR + lines[0], *lines[1:]])
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(0) from None


def _screen(report: _Report) -> Iterator[str]:
    """The findings that fit, and the totals, in the height of the terminal."""
    room = shutil.get_terminal_size().lines - 1 if terminal_width() is not None else None
    findings = report.findings
    yield _headline(report)
    used = 1 + TOTALS
    for number, finding in enumerate(findings):
        lines = list(_lines(finding))
        left = len(findings) - number
        # One line more says how many are not shown.
        if room is not None and used + len(lines) + (left > 1) > room and number:
            yield f"  {left:,} more: gresque status | less"
            break
        used += len(lines)
        yield from lines
    yield ""
    yield from _totals(report.totals)


def _headline(report: _Report) -> str:
    findings = report.findings
    broken = sum(finding.is_broken for finding in findings)
    warnings = len(findings) - broken
    at = log_time(report.totals.at, 0)[11:19]
    if not findings:
        return coloured(f"all is well at {at} UTC", "green")
    said = [counted(broken, "thing is", "things are") + " broken"] if broken else []
    said += [counted(warnings, "warning")] if warnings else []
    return coloured(f"{', '.join(said)} at {at} UTC", "red" if broken else "yellow")


def _lines(finding: Finding) -> Iterator[str]:
    colour = "red" if finding.is_broken else "yellow"
    yield from _wrapped(f"{_mark(finding.is_broken)} {finding.message}", colour)
    if finding.commands:
        yield _cut(f"    {'  or  '.join(each + _same_server(each) for each in finding.commands)}")


def _same_server(command: str) -> str:
    """The flags of this call by which that command finds the same server. A password is not
    repeated."""
    given = click.get_current_context().params
    if not command.startswith("gresque "):
        return ""
    urls, namespace, shards = given["redis_url"], given["namespace"], given["shards"]
    words: list[str] = []
    if all(entry_of(url).masked() == url for url in urls):
        words += [word for url in urls for word in ("--redis", url)]
    words += ["--namespace", namespace] if namespace is not None else []
    words += ["--shards", shards] if shards is not None else []
    return f" {shell(*words)}" if words else ""


def _wrapped(text: str, colour: str) -> Iterator[str]:
    room = terminal_width()
    if room is None:
        yield printable(text)
        return
    lines = wrap(printable(text), max(room, 20))
    if len(lines) > LINES_OF_A_FINDING:
        rest = " ".join(line.strip() for line in lines[LINES_OF_A_FINDING - 1 :])
        lines[LINES_OF_A_FINDING - 1 :] = ["  " + rest]
    for line in lines:
        yield coloured(_cut(line), colour)


def _cut(line: str) -> str:
    room = terminal_width()
    return line if room is None else cut(line, room, ellipsis_for(sys.stdout.encoding))


def _mark(is_broken: bool) -> str:
    """By a sign as well as by a colour."""
    mark, plain = ("✕", "x") if is_broken else ("▲", "!")
    return mark if encodable(mark, sys.stdout.encoding) == mark else plain


def _totals(found: Totals) -> Iterator[str]:
    age = found.oldest_age
    oldest = f", the oldest for {duration(age)}" if age is not None else ""
    waiting = sum(found.waiting.values())
    yield _cut(
        f"done     {_rate(found.done_rate)}, {found.processed:,} in all; "
        f"failed {_rate(found.failed_rate)}, {found.failed:,} in all, {found.kept_failed:,} kept"
    )
    yield _cut(
        f"waiting  {counted(waiting, 'job')} in {counted(len(found.waiting), 'queue')}{oldest}"
        + (f"; {found.later:,} for their time" if found.later else "")
    )
    seconds = found.longest_seconds
    longest = f", the longest for {duration(seconds)}" if seconds is not None else ""
    yield _cut(
        f"running  {counted(found.held, 'job')} in "
        f"{counted(found.processes, 'process', 'processes')} of "
        f"{counted(len(found.workers), 'worker')}{longest}"
    )


def _rate(number: float) -> str:
    return f"{number:,.0f}/s" if number >= 10 or not number else f"{number:.1f}/s"


def _as_dict(report: _Report) -> dict[str, Any]:
    found = report.totals
    return {
        "ok": not any(finding.is_broken for finding in report.findings),
        "at": found.at,
        "findings": [finding.as_dict() for finding in report.findings],
        "totals": {
            "processed": found.processed,
            "failed": found.failed,
            "done_per_second": round(found.done_rate, 1),
            "failed_per_second": round(found.failed_rate, 1),
            "kept_failed": found.kept_failed,
            "waiting": sum(found.waiting.values()),
            "queues": dict(found.waiting),
            "later": found.later,
            "held": found.held,
            "processes": found.processes,
            "workers": len(found.workers),
        },
        "flow": {
            "all_paused": found.all_paused,
            "paused": [*found.paused],
            "limited": [*found.limited],
        },
    }
