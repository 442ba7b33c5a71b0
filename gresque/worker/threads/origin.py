"""Which job a greenlet, or a patched thread, belongs to that gresque did not start itself."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from gevent.hub import Hub
from greenlet import greenlet

from gresque.jobs.current import CurrentJob

if TYPE_CHECKING:
    from gresque.worker.threads.kills import Kill
    from gresque.worker.threads.thread import WorkerThread
    from gresque.worker.turns.in_flight import ReservedJob

KEY = "gresque"
"""The Origin in gevent's `spawn_tree_locals`. A greenlet takes this dictionary from the one that
spawns it, so it outlives those in between."""

_LONGEST_CHAIN = 100


class Origin:
    """The job in which a greenlet, or one of those that spawned it, was spawned."""

    __slots__ = ("__weakref__", "current_job", "job", "kill", "thread")

    def __init__(self, thread: WorkerThread, job: ReservedJob) -> None:
        self.job = job
        self.thread = thread
        self.kill: Kill | None = None
        """The kill that ended the job, if one did."""
        self.current_job = CurrentJob(job[1], job[2])

    @property
    def runs(self) -> bool:
        return self.thread.job is self.job

    @property
    def wanted_dead(self) -> Kill | None:
        """The kill that is meant for the job, or has ended it."""
        kill = self.kill or self.thread.to_kill
        return kill if kill is not None and kill.job is self.job else None


def origin_of(found: greenlet | None) -> Origin | None:
    """None for one that no job has started, and where that is not known, with
    GEVENT_TRACK_GREENLET_TREE off."""
    for _ in range(_LONGEST_CHAIN):
        if found is None or isinstance(found, Hub):
            return None
        values = getattr(found, "spawn_tree_locals", None)
        if values and KEY in values:
            origin: Origin | None = values[KEY]
            return origin
        spawner = getattr(found, "spawning_greenlet", None)
        # A raw greenlet knows its parent only: the one that made it, unless it is the hub.
        found = (spawner() if spawner is not None else None) or found.parent
    return None


def name_of(found: greenlet) -> str:
    """`thread 'Thread-3 (consume)'`, `greenlet Greenlet`."""
    if isinstance(found, Hub):
        return "a callback of gevent's loop"
    if found.parent is None:
        return "the main greenlet, in gresque or a hook"
    active: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]
    thread = active.get(id(found))  # the patched get_ident
    if thread is not None and not isinstance(thread, threading._DummyThread):
        return f"thread {thread.name!r}"
    return f"greenlet {type(found).__name__}"


def on_the_cpu(everything: list[Any], root: greenlet) -> greenlet | None:
    """Of these objects the greenlet that has the CPU of `root`'s native thread. Called in another
    one: while that has the GIL, no greenlet moves."""
    for thing in everything:
        if issubclass(type(thing), greenlet) and has_the_cpu(thing, root):
            found: greenlet = thing
            return found
    return None


def has_the_cpu(found: greenlet, root: greenlet) -> bool:
    """One that has begun, and shows no frame as those do that wait."""
    # gevent's own greenlets count as true from `start` on, before they have begun.
    return greenlet.__bool__(found) and found.gr_frame is None and root_of(found) is root


def root_of(found: greenlet) -> greenlet:
    """The one with which its native thread began."""
    while found.parent is not None:
        found = found.parent
    return found
