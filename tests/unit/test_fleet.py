"""Which child is forked, called, and told to leave: a table for each rule.

Children are written as `kind.state`, with flags behind it: `worker.ready+outdated`. The kinds are
`w`orker, `s`tandby, `q`uarantine and `m`aintenance. Actions are `fork kind`, `call N`, `quit N` and
`kill N`, where N is the position of the child.
"""

from __future__ import annotations

from typing import Any

import pytest

from gresque.master.child import Child
from gresque.master.fleet import Call, Fork, Kill, Quit, Situation, Sizes, decide, is_rolling
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Scoreboard
from gresque.processes.state import ProcessState
from gresque.queue_list import QueueList
from gresque.settings import Settings
from tests.support.states import bring_to

KINDS = {"w": Kind.WORKER, "s": Kind.STANDBY, "q": Kind.QUARANTINE, "m": Kind.MAINTENANCE}
STATES = {
    "boots": ProcessState.BOOTING,
    "waits": ProcessState.STANDING_BY,
    "ready": ProcessState.READY,
    "paused": ProcessState.PAUSED,
    "retires": ProcessState.RETIRING,
    "drains": ProcessState.DRAINING,
    "left": ProcessState.LEFT,
    "dry": ProcessState.LEFT_DRY,
}
NOW = 1000.0
Flags = dict[str, Any]


def children(text: str) -> list[Child]:
    words = text.split()
    rows = Scoreboard(len(words), 1).rows if words else []
    found = []
    for number, (word, row) in enumerate(zip(words, rows, strict=True)):
        first, *flags = word.split("+")
        kind, state = first.split(".")
        row.kind = KINDS[kind]
        bring_to(row, STATES[state])
        child = Child(number, "host:1:q", 1, row)
        child.booted = state != "boots"
        child.outdated = "outdated" in flags
        child.killed = "killed" in flags
        child.called_at = NOW if "called" in flags else None
        child.quit_at = next((NOW - float(f[4:]) for f in flags if f.startswith("quit")), None)
        found.append(child)
    return found


def actions(family: str, sizes: Sizes, **situation: Any) -> str:
    shown = []
    for action in decide(children(family), sizes, Situation(now=NOW, **situation)):
        match action:
            case Fork(kind):
                shown.append(f"fork {kind.name[0].lower()}")
            case Call(child):
                shown.append(f"call {child.pid}")
            case Quit(child):
                shown.append(f"quit {child.pid}")
            case Kill(child):
                shown.append(f"kill {child.pid}")
    return ", ".join(shown)


MANY = Sizes(workers=2, standbys=0, overlap=True, quarantine=True, maintenance=False)
"""Two processes of many threads."""
ONE = Sizes(workers=1, standbys=1, overlap=False, quarantine=False, maintenance=False)
"""1/1/1: one thread, one job per process."""
ALONE = ONE._replace(standbys=0)
"""One thread, many jobs per process."""
BACKED = MANY._replace(maintenance=True)

UP: Flags = {"has_booted": True}


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("", "fork w, fork w"),
        ("w.boots", "fork w"),
        ("w.boots w.boots", ""),
        ("w.ready w.ready", ""),
        ("w.ready w.paused", ""),
        ("w.ready w.retires", "fork w"),  # its successor starts while its last jobs run
        ("w.ready w.drains", "fork w"),
        ("w.ready w.left", "fork w"),
        ("w.ready w.ready+quit0", "fork w"),
        ("w.retires w.retires w.ready w.ready", ""),
        ("w.retires w.retires w.ready", "fork w"),
        ("w.retires w.retires w.retires w.ready", ""),  # as many again may retire, and no more
        ("w.ready w.ready q.ready", ""),
        ("w.ready q.ready", "fork w"),  # a quarantine process is none of WORKER_COUNT
    ],
)
def test_as_many_take_jobs_as_are_wanted(family: str, expected: str) -> None:
    assert actions(family, MANY) == expected


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("w.retires", ""),  # two would run two jobs at once
        ("w.drains", ""),
        ("w.left", ""),  # no standby takes over, so it is waited for to its end
        ("w.ready", ""),
        ("", "fork w"),
    ],
)
def test_one_thread_has_no_second_process_beside_it(family: str, expected: str) -> None:
    assert actions(family, ALONE, **UP) == expected


@pytest.mark.parametrize(
    ("family", "situation", "expected"),
    [
        ("w.boots", {}, ""),  # those that work come first
        ("w.ready", UP, "fork s"),
        ("w.ready s.boots", UP, ""),
        ("w.ready s.waits", UP, ""),
        ("w.retires s.waits", UP, ""),
        ("w.left s.waits", UP, "call 1, fork s"),  # though the kernel still takes it down
        ("w.dry s.waits", UP, ""),  # in a burst a dry one has no successor
        ("s.waits", UP, "call 0, fork s"),
        ("s.boots", UP, "call 0, fork s"),
        ("s.boots s.waits", UP, "call 1"),  # one that has come up goes first
        ("s.waits+quit0", UP, "fork w, fork s"),
        ("w.waits+called", UP, "fork s"),  # the CONT is on its way
        ("w.left s.waits", {**UP, "held_back": {Kind.STANDBY}}, ""),
        ("w.ready", {**UP, "held_back": {Kind.STANDBY}}, ""),
        ("s.waits", {**UP, "held_back": {Kind.STANDBY}}, "call 0"),
        ("s.waits", {**UP, "held_back": {Kind.WORKER}}, ""),
    ],
)
def test_a_standby_is_next(family: str, situation: Flags, expected: str) -> None:
    assert actions(family, ONE, **situation) == expected


@pytest.mark.parametrize(
    ("family", "situation", "expected"),
    [
        ("w.ready s.waits", {"dry": True}, "quit 1"),
        ("", {"dry": True}, ""),
        ("w.retires", {"dry": True}, ""),
    ],
)
def test_a_dry_burst_forks_no_more(family: str, situation: Flags, expected: str) -> None:
    assert actions(family, ONE, **UP, **situation) == expected


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("w.ready w.ready", ""),
        ("w.ready", ""),
        ("", ""),
        ("w.ready w.ready q.retires", ""),
    ],
)
def test_nothing_is_forked_while_boots_fail(family: str, expected: str) -> None:
    held_back = {Kind.WORKER, Kind.QUARANTINE}
    for to_recover in (False, True):
        assert actions(family, MANY, held_back=held_back, to_recover=to_recover) == expected


@pytest.mark.parametrize(
    ("sizes", "family", "expected"),
    [
        # The process that is forked anyway recovers, before it takes a job.
        (MANY, "w.ready", "fork w"),
        # Nothing is missing: another process must not wait for a life to end.
        (MANY, "w.ready w.ready", "fork q"),
        (MANY, "w.ready w.ready q.ready", ""),
        # One thread: never a standby that came up before the death, whose jobs come first.
        (ONE, "s.waits", "fork w"),
        (ONE, "s.waits s.waits", "fork w"),
        (ALONE, "w.ready", ""),
    ],
)
def test_the_jobs_of_the_dead_are_recovered_soon(sizes: Sizes, family: str, expected: str) -> None:
    assert actions(family, sizes, to_recover=True) == expected


@pytest.mark.parametrize(("family", "expected"), [("s.waits", "call 0"), ("s.boots", "fork w")])
def test_a_standby_that_came_up_is_called_where_others_do_not(family: str, expected: str) -> None:
    """It may hold the lock or port that they need."""
    assert actions(family, ONE, to_recover=True, boots_fail=True) == expected


@pytest.mark.parametrize(
    ("sizes", "family", "situation", "expected"),
    [
        (MANY, "w.ready w.ready", {"suspects": True}, "fork q"),
        (MANY, "w.ready w.ready", {}, ""),
        (MANY, "w.ready w.ready q.boots", {"suspects": True}, ""),  # it takes them
        (MANY, "w.ready w.ready q.retires", {"suspects": True}, "fork q"),  # its jobs run for long
        (MANY, "w.ready w.ready" + " q.retires" * 3, {"suspects": True}, "fork q"),
        (MANY, "w.ready w.ready" + " q.retires" * 4, {"suspects": True}, ""),
        (MANY, "", {"suspects": True, "dry": True}, "fork q"),
        (MANY, "w.ready", {"suspects": True}, "fork w, fork q"),
        (ALONE, "w.ready", {"suspects": True}, ""),  # every job is alone there
    ],
)
def test_suspects_have_a_process_of_their_own(
    sizes: Sizes, family: str, situation: Flags, expected: str
) -> None:
    assert actions(family, sizes, **situation) == expected


@pytest.mark.parametrize(
    ("family", "expected", "rolls"),
    [
        ("w.ready+outdated w.ready+outdated", "fork w", True),  # one more comes up first
        ("w.ready+outdated w.ready+outdated w.boots", "", True),
        ("w.ready+outdated w.ready+outdated w.ready", "quit 0", True),
        ("w.ready+outdated+quit0 w.ready+outdated w.ready", "fork w", True),
        ("w.ready+outdated+quit9 w.ready+outdated w.ready w.ready", "quit 1", True),
        ("w.ready+outdated+quit9 w.ready w.ready", "", False),
        ("w.retires+outdated w.ready w.ready", "", False),  # it leaves anyway
        ("w.retires+outdated w.retires+outdated w.ready+outdated w.ready+outdated", "fork w", True),
        ("w.ready w.ready q.ready+outdated", "quit 2", False),
        ("w.ready w.ready q.ready+outdated+quit0", "", False),
    ],
)
def test_a_hup_replaces_one_by_one(family: str, expected: str, rolls: bool) -> None:
    assert actions(family, MANY, **UP) == expected
    assert is_rolling(children(family)) is rolls


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("w.ready s.waits+outdated", "quit 1, fork s"),
        ("w.left s.waits+outdated", "quit 1, fork w"),  # an outdated one is not called
        ("w.ready+outdated s.waits+outdated+quit0 s.waits", "call 2, fork s"),
    ],
)
def test_a_hup_replaces_a_standby_at_once(family: str, expected: str) -> None:
    assert actions(family, ONE, **UP) == expected


@pytest.mark.parametrize(
    ("family", "situation", "expected"),
    [
        ("w.boots w.boots", {}, ""),  # it must not delay the first boot
        ("w.ready w.boots", UP, "fork m"),
        ("w.ready w.ready m.boots", UP, ""),
        ("w.ready w.ready m.ready", UP, ""),
        ("w.ready w.ready", {**UP, "held_back": {Kind.MAINTENANCE}}, ""),
        ("w.ready m.ready", {**UP, "held_back": {Kind.WORKER}}, ""),
        ("", {**UP, "held_back": {Kind.WORKER}}, "fork m"),  # it outlives a crash loop of workers
        ("w.ready w.ready m.ready+outdated", UP, "quit 2"),
        ("w.ready w.ready m.ready+outdated+quit1", UP, ""),  # one at a time
        ("w.ready w.ready m.ready+outdated+quit2", UP, "kill 2"),
        ("w.ready w.ready m.ready+outdated+quit2+killed", UP, ""),
    ],
)
def test_one_maintenance_process_is_kept(family: str, situation: Flags, expected: str) -> None:
    assert actions(family, BACKED, **situation) == expected


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("w.drains m.ready", ""),
        ("q.drains m.ready", ""),
        ("m.ready", "quit 0"),
        ("m.ready+quit0", ""),
        ("m.ready+quit2", "kill 0"),
        ("w.ready", ""),  # a shutdown forks nobody
        ("", ""),
    ],
)
def test_in_a_shutdown_the_maintenance_process_ends_last(family: str, expected: str) -> None:
    everything = {"suspects": True, "to_recover": True, **UP}
    assert actions(family, BACKED, stopping=True, **everything) == expected


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({"worker_count": 2, "thread_count": 100}, MANY),
        ({"worker_count": 2, "thread_count": 100, "interval": 0}, MANY),
        ({"thread_count": 1, "jobs_per_fork": 1, "interval": 0}, ONE),
        ({"thread_count": 1, "jobs_per_fork": 10, "interval": 0}, ONE),
        ({"thread_count": 1, "jobs_per_fork": 11, "interval": 0}, ALONE),
    ],
)
def test_the_settings_say_how_many_are_wanted(settings: Flags, sizes: Sizes) -> None:
    in_burst = settings.get("interval") == 0
    found = Sizes.of(Settings(queues=QueueList.parse("q"), **settings))
    assert found == sizes._replace(maintenance=not in_burst)


def test_all_that_may_live_at_once_have_room() -> None:
    """WORKER_COUNT, as many again that retire, one more for a HUP, and each of the other kinds."""
    assert (
        Sizes(3, 1, overlap=True, quarantine=True, maintenance=True).most == 3 + 3 + 1 + 1 + 4 + 1
    )
