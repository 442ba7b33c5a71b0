"""`gresque status`."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gresque.cli.connect import open_store
from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import (
    Output,
    coloured,
    counted,
    ellipsis_for,
    json_option,
    terminal_width,
    write,
)
from gresque.cli.table import cut, wrap
from gresque.clock import duration, log_time
from gresque.errors import RedisUnavailable
from gresque.shards import entry_of
from gresque.text import encodable, printable, shell

if TYPE_CHECKING:
    from gresque.inspector.findings.finding import Finding
    from gresque.inspector.findings.view import View
    from gresque.inspector.look import Counts
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
    with open_store(flags) as store:
        before = Counts.take(store)
        time.sleep(BETWEEN_SECONDS)
        view = _look(store, failure_backend, before)
        findings = _find(view)
    Output(as_json).document(_as_dict(view, findings), lambda: _screen(view, findings))
    return 1 if any(each.is_broken or strict for each in findings) else 0


def _look(store: Store, failure_backend: str, before: Counts) -> View:
    from gresque.inspector.findings.view import View
    from gresque.inspector.look import Look

    return View(store, failure_backend, before, Look.take(store, failure_backend))


def _find(view: View) -> list[Finding]:
    from gresque.inspector.findings.all import find_all

    return find_all(view)


def _watch(flags: dict[str, Any], failure_backend: str) -> NoReturn:
    """Draw the screen every 2 s, also while Redis is away. Ctrl-C ends it."""
    from gresque.inspector.look import Counts

    before: Counts | None = None
    try:
        while True:
            try:
                with open_store(flags) as store:
                    if before is None:
                        before = Counts.take(store)
                        time.sleep(BETWEEN_SECONDS)
                    view = _look(store, failure_backend, before)
                    lines = list(_screen(view, _find(view)))
                before = view.look.counts
            except RedisUnavailable as error:
                before = None
                lines = [*_wrapped(f"{_mark(True)} {error}", "red")]
            write([_HOME_AND_CLEAR + lines[0], *lines[1:]])
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(0) from None


def _screen(view: View, findings: Sequence[Finding]) -> Iterator[str]:
    """The findings that fit, and the totals, in the height of the terminal."""
    room = shutil.get_terminal_size().lines - 1 if terminal_width() is not None else None
    yield _headline(view, findings)
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
    yield from _totals(view)


def _headline(view: View, findings: Sequence[Finding]) -> str:
    broken = sum(finding.is_broken for finding in findings)
    warnings = len(findings) - broken
    at = log_time(view.at, 0)[11:19]
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


def _totals(view: View) -> Iterator[str]:
    look, counts = view.look, view.look.counts
    ages = [age for age in view.ages.values() if age is not None]
    oldest = f", the oldest for {duration(max(ages))}" if ages else ""
    waiting = sum(counts.waiting.values())
    yield _cut(
        f"done     {_rate(view.done_rate)}, {counts.processed:,} in all; "
        f"failed {_rate(view.failed_rate)}, {counts.failed:,} in all, {look.kept_failed:,} kept"
    )
    yield _cut(
        f"waiting  {counted(waiting, 'job')} in {counted(len(view.waiting), 'queue')}{oldest}"
        + (f"; {look.later:,} for their time" if look.later else "")
    )
    starts = [since for each in look.processes for since in each.running.since.values()]
    longest = f", the longest for {duration(max(view.at - min(starts), 0.0))}" if starts else ""
    processes = counted(len(look.processes), "process", "processes")
    yield _cut(
        f"running  {counted(look.held, 'job')} in {processes} of "
        f"{counted(len(look.workers), 'worker')}{longest}"
    )


def _rate(number: float) -> str:
    return f"{number:,.0f}/s" if number >= 10 or not number else f"{number:.1f}/s"


def _as_dict(view: View, findings: Sequence[Finding]) -> dict[str, Any]:
    look, counts = view.look, view.look.counts
    return {
        "ok": not any(finding.is_broken for finding in findings),
        "at": view.at,
        "findings": [finding.as_dict() for finding in findings],
        "totals": {
            "processed": counts.processed,
            "failed": counts.failed,
            "done_per_second": round(view.done_rate, 1),
            "failed_per_second": round(view.failed_rate, 1),
            "kept_failed": look.kept_failed,
            "waiting": sum(counts.waiting.values()),
            "queues": dict(view.waiting),
            "later": look.later,
            "held": look.held,
            "processes": len(look.processes),
            "workers": len(look.workers),
        },
        "flow": {
            "all_paused": look.flow.all_paused,
            "paused": [name for name, each in look.flow.policies.items() if each.paused],
            "limited": [name for name, each in look.flow.policies.items() if each.is_limited],
        },
    }
