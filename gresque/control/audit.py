"""The audit log: who did what, from where, and what came of it.

Every function of `control` that changes something writes its entry itself, so that no face of it,
the command line, the pages or `gresque top`, can forget to.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gresque.errors import RedisUnavailable
from gresque.logs import fields
from gresque.store.store import Store
from gresque.text import counted, printable

log = logging.getLogger("gresque.control")

MOST_CHARS = 500
"""Of each field."""
_UNREACHABLE = (RedisConnectionError, RedisTimeoutError, RedisUnavailable, OSError)


class By(str):
    """Who wants something done: `By("ana@vm", "cli")`, `By("ana", "web 10.0.0.3")`. The name goes
    wherever a name is wanted; the audit log also has the place."""

    place: str

    def __new__(cls, who: str, place: str = "") -> By:
        found = super().__new__(cls, who)
        found.place = place
        return found


@dataclass
class Act:
    """What came of an action: how many of them were changed, and the outcome in a few words."""

    count: int = 0
    outcome: str = "done"

    def changed(self, is_changed: bool, otherwise: str) -> bool:
        """Note whether a single thing was changed; `otherwise` says why it was not."""
        self.count += is_changed
        if not is_changed:
            self.outcome = otherwise
        return is_changed


@contextmanager
def acting(store: Store, by: str, verb: str, target: str) -> Iterator[Act]:
    """Write an entry when the action is over, also when it fails.

        with acting(store, by, "pause", "queue mail") as act:
            act.changed(store.policies.pause("mail"), "was paused already")

    `verb` is in the words of the command line, `target` names what was meant.
    """
    act, is_reported = Act(), False
    try:
        yield act
    except Exception as error:
        act.outcome = f"failed: {error}"
        is_reported = isinstance(error, _UNREACHABLE) and not act.count
        raise
    except BaseException:
        act.outcome = f"interrupted after {counted(act.count, 'change')}"
        raise
    finally:
        _write(store, by, verb, target, act, is_reported)


def _write(store: Store, by: str, verb: str, target: str, act: Act, is_reported: bool) -> None:
    """Write an entry. A log that cannot be written hides no outcome: a warning says so, unless the
    error of the action, which changed nothing, says the same."""
    entry = {
        "by": str(by),
        "from": by.place if isinstance(by, By) else "",
        "verb": verb,
        "target": target,
        "count": str(act.count),
        "outcome": act.outcome,
    }
    try:
        store.audit.add({name: _cut(value) for name, value in entry.items()})
    except (RedisError, RedisUnavailable, OSError) as error:
        if is_reported:
            return
        log.warning(
            "the audit log has no entry for what %s did (%s %s): %s",
            printable(by),
            verb,
            printable(target),
            error,
            extra=fields("audit_failed", by=by, verb=verb, target=target),
        )


def some(names: list[str], most: int = 3) -> str:
    """`a, b, c and 5 more`."""
    shown = ", ".join(names[:most])
    more = len(names) - most
    return shown if more <= 0 else f"{shown} and {more:,} more"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARS else text[: MOST_CHARS - 1] + "…"
