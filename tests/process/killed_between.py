"""A job module whose worker processes are killed once at each point that KILL_AT names, before or
after a call: `after Recoveries.move`. KILLED_AT is a directory that remembers it.

The master is spared, and calls to register are those of a process that has dead siblings. The next
process is forked at once."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gresque.backoff import Backoff
from gresque.processes.scoreboard import Row
from gresque.store.recovery import Recoveries
from gresque.worker.recovery import Recovery
from gresque.worker.turns.registration import Registration

Backoff.next_seconds = lambda self: 0.01  # type: ignore[method-assign]
_MASTER = os.getpid()
_CALLS = {
    "fence": (Recoveries, "fence"),
    "move": (Recoveries, "move"),
    "empty": (Recovery, "empty"),
    "inherit": (Row, "inherit"),
    "remove": (Recoveries, "remove"),
    "register": (Registration, "register"),
    "unregister": (Registration, "unregister"),
}


def _die_at(point: str, owner: Any) -> None:
    is_first = isinstance(owner, Registration) and not owner._spec.to_recover
    if os.getpid() == _MASTER or (is_first and "unregister" not in point):
        return
    try:
        (Path(os.environ["KILLED_AT"]) / point).mkdir()
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _killing(point: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def kill_before(owner: Any, *arguments: Any) -> Any:
        _die_at(point, owner)
        return call(owner, *arguments)

    def kill_after(owner: Any, *arguments: Any) -> Any:
        answer = call(owner, *arguments)
        _die_at(point, owner)
        return answer

    return kill_before if point.startswith("before") else kill_after


for _point in os.environ["KILL_AT"].split(","):
    _owner, _name = _CALLS[_point.split()[1]]
    setattr(_owner, _name, _killing(_point, getattr(_owner, _name)))
