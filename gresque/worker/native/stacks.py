"""Where the greenlets of a process stand, in the form of a failure's backtrace, and what they wait
on where a frame of gevent's shows it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from time import monotonic
from types import FrameType
from typing import Any, NamedTuple

from gevent.hub import Hub
from greenlet import greenlet

from gresque.jobs import payload
from gresque.raised import frame_line
from gresque.worker.threads.origin import has_the_cpu, name_of, on_the_cpu, origin_of
from gresque.worker.threads.outcome import describe
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.threads.thread import WorkerThread
from gresque.worker.turns.in_flight import ReservedJob

MAX_FRAMES = 30


class Standing(NamedTuple):
    """A greenlet and its stack, the innermost frame first. Of a WorkerThread: its job, and for how
    long that has been running; of a greenlet that a job started: that job, if it still runs.
    `on_cpu` is the one of all that does not wait."""

    job: ReservedJob | None
    name: str
    seconds: float | None
    on_cpu: bool
    waits_on: str
    stack: tuple[str, ...]

    def __str__(self) -> str:
        since = f", for {self.seconds:.1f} s" if self.seconds is not None else ""
        doing = ", on the CPU" if self.on_cpu else f", waits on {self.waits_on or '?'}"
        return "\n    ".join([f"{self.name}{since}{doing}:", *self.stack])


def all_standings(pool: ThreadPool, main_thread: int, root: greenlet) -> list[Standing]:
    """Every running job, the oldest first, then the other greenlets. Callable in any native thread:
    while that has the GIL, no greenlet moves. `root` is the main thread's outermost greenlet."""
    threads = sorted((t for t in list(pool.threads) if t.job is not None), key=lambda t: t.since)
    current = sys._current_frames().get(main_thread)
    mine = _thread_of(current)
    jobs = [_standing(t, current if t is mine else t.gr_frame, t is mine) for t in threads]
    return jobs + [_other(*found) for found in _other_greenlets(current, root)]


def blocking(
    main_thread: int, root: greenlet, last: greenlet | None
) -> tuple[greenlet, Standing] | None:
    """The greenlet that has the CPU, and where it stands; None while the loop itself waits. Called
    in another native thread. `last` is the one that had it when asked the last time."""
    frame = sys._current_frames().get(main_thread)
    if frame is None or frame.f_code is Hub.run.__code__:
        return None
    found: greenlet | None = _thread_of(frame)
    if found is None and last is not None and has_the_cpu(last, root):
        found = last  # a walk over all objects is spared
    if found is None:
        found = on_the_cpu(gc.get_objects(), root)
    if found is None:
        return None
    if isinstance(found, WorkerThread):
        return found, _standing(found, frame, True)
    return found, _other(found, frame, True)


def as_dict(standing: Standing) -> dict[str, Any]:
    """As it travels through Redis."""
    job = standing.job
    return {
        "name": standing.name,
        "id": None if job is None else payload.loads(job[2]).get("id"),
        "queue": None if job is None else job[1],
        "slot": None if job is None else job[0].decode(),
        "seconds": None if standing.seconds is None else round(standing.seconds, 3),
        "on_cpu": standing.on_cpu,
        "waits_on": standing.waits_on or None,
        "stack": standing.stack,
    }


def _thread_of(frame: FrameType | None) -> WorkerThread | None:
    """The WorkerThread whose frames these are. Not told by the frame of `_work`: Python keeps the
    locals that are asked for with their frame, and among those is the job."""
    while frame is not None:
        if frame.f_code is WorkerThread.perform_jobs.__code__:
            thread: WorkerThread = frame.f_locals["self"]
            return thread
        frame = frame.f_back
    return None


def _standing(thread: WorkerThread, frame: FrameType | None, on_cpu: bool) -> Standing:
    job = thread.job
    name = "between two jobs" if job is None else describe(job)
    seconds = None if job is None else monotonic() - thread.since
    nudged = _nudged(frame)
    if nudged is not None:
        frame, on_cpu = nudged, True
    waits_on = "" if on_cpu else _wait_of(frame)
    return Standing(job, name, seconds, on_cpu, waits_on, tuple(_lines(frame)))


def _nudged(frame: FrameType | None) -> FrameType | None:
    """Where the job stood when the watcher made it let the loop turn: it hogs the CPU."""
    for _ in range(MAX_FRAMES):
        if frame is None:
            return None
        if frame.f_globals.get("__name__") == "gresque.worker.native.loop_monitor":
            return frame.f_back
        frame = frame.f_back
    return None


def _other(found: greenlet, frame: FrameType | None, on_cpu: bool) -> Standing:
    origin, name = origin_of(found), name_of(found)
    job = origin.job if origin is not None and origin.runs else None
    if origin is not None:
        ended = "" if job is not None else ", which has ended"
        name = f"{name}, started by {describe(origin.job)}{ended}"
    nudged = _nudged(frame)
    if nudged is not None:
        frame, on_cpu = nudged, True
    return Standing(
        job, name, None, on_cpu, "" if on_cpu else _wait_of(frame), tuple(_lines(frame))
    )


def _other_greenlets(
    current: FrameType | None, root: greenlet
) -> Iterator[tuple[greenlet, FrameType | None, bool]]:
    """Those that jobs and modules have spawned, where they stand, and whether they have the CPU.
    Walks all objects that the collector knows."""
    for thing in gc.get_objects():
        kind = type(thing)  # isinstance would ask a proxy what it stands for
        if not issubclass(kind, greenlet) or issubclass(kind, (WorkerThread, Hub)):
            continue
        if thing.parent is None:
            continue  # a native thread's own
        on_cpu = has_the_cpu(thing, root)
        frame = current if on_cpu else thing.gr_frame
        if any(_lines(frame)):
            yield thing, frame, on_cpu


def _lines(frame: FrameType | None) -> Iterator[str]:
    for _ in range(MAX_FRAMES):
        if frame is None:
            return
        line = frame_line(frame, frame.f_lineno)
        if line is not None:
            yield line
        frame = frame.f_back


# What a greenlet waits on


def _wait_of(frame: FrameType | None) -> str:
    """Told by a frame of gevent above the job's own; empty where there is none: much of gevent is C
    and leaves no frame."""
    for _ in range(MAX_FRAMES):
        if frame is None:
            break
        for ending, tell in _WAITS:
            if frame.f_code.co_filename.endswith(ending):
                try:
                    told = tell(frame)
                except Exception:  # whatever a half-open socket or a frame in the making may raise
                    continue
                if told:
                    return told
        frame = frame.f_back
    return ""


def _sleep(frame: FrameType) -> str:
    return f"sleep of {frame.f_locals['seconds']:g} s" if frame.f_code.co_name == "sleep" else ""


def _socket(frame: FrameType) -> str:
    values = frame.f_locals
    address = values.get("address") or values["self"].getpeername()
    return f"{frame.f_code.co_name} {_shown(address) or 'on a socket'}"


def _shown(address: Any) -> str:
    if isinstance(address, tuple):
        host, port, *_ = address
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return address.decode(errors="replace") if isinstance(address, bytes) else str(address)


def _lock(frame: FrameType) -> str:
    return "a lock" if frame.f_code.co_name == "acquire" else ""


def _process(frame: FrameType) -> str:
    return f"process {frame.f_locals['self'].pid}"


def _lookup(frame: FrameType) -> str:
    return f"the address of {_shown(frame.f_locals.get('host') or frame.f_locals['hostname'])}"


_WAITS: tuple[tuple[str, Callable[[FrameType], str]], ...] = (
    ("gevent/hub.py", _sleep),
    ("gevent/_socketcommon.py", _socket),
    ("gevent/_socket3.py", _socket),
    ("gevent/ssl.py", _socket),
    ("gevent/thread.py", _lock),
    ("gevent/subprocess.py", _process),
    ("gevent/resolver/thread.py", _lookup),
    ("gevent/select.py", lambda frame: "select"),
    ("gevent/threadpool.py", lambda frame: "a native thread"),
)
