"""Process titles: what `ps` and `top` show of a master or a worker process."""

from __future__ import annotations

from collections.abc import Callable

from gresque.settings import Settings
from gresque.store.ledger import Totals
from gresque.version import __version__

setproctitle: Callable[[str], None] | None
try:
    from setproctitle import setproctitle
except ImportError:  # it comes with the extra gresque[title]
    setproctitle = None


class Title:
    """`gresque-0.1.0: worker mail,low: working, 17 running, 200 done, 3 failed`, prefixed as in
    Resque.

    A Ruby worker that boots takes the workers of its host for dead whose pid it does not find in
    `ps` beside `resque-` and a digit: with the version a master is found. Set about once a second,
    never by a job. Without setproctitle nothing happens.
    """

    def __init__(self, settings: Settings, role: str) -> None:
        queues = (
            f"{settings.queues} on {settings.shard_name}"
            if settings.shard_name
            else (settings.queues)
        )
        head = f"{settings.procline_prefix}gresque-{__version__}: {role} {queues}: "
        # A queue's name may be anything, a title ends at the first NUL.
        if not head.isprintable():
            head = "".join(char if char.isprintable() else "?" for char in head)
        self._head = head
        self._shown = ""

    def show(self, text: str) -> None:
        if setproctitle is not None and text != self._shown:
            setproctitle(self._head + text)
            self._shown = text


def describe_counts(totals: Totals) -> str:
    """`17 running, 200 done, 3 failed`; running is what is held, reserved or at work."""
    running = totals.held
    return f"{max(running, 0):,} running, {totals.done:,} done, {totals.failed:,} failed"
