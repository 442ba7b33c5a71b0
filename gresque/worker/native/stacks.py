"""The stacks of a process's greenlets, in the form of a failure's backtrace."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from time import monotonic
from types import FrameType
from typing import Any, NamedTuple

from gevent.hub import Hub
from greenlet import getcurrent, greenlet

from gresque.jobs import payload
from gresque.raised import frame_line
from gresque.worker.native.waits import MAX_FRAMES, wait_of
from gresque.worker.threads.end_log import describe
from gresque.worker.threads.origin import has_the_cpu, name_of, on_the_cpu, origin_of
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.threads.thread import WorkerThread
from gresque.worker.turns.in_flight import ReservedJob


class GreenletStack(NamedTuple):
    """A greenlet and its stack, the innermost frame first. A WorkerThread has its job, and for how
    long that has been running; a greenlet that a job started has that job, if it still runs. Of
    all greenlets one is `on_cpu`; the others wait."""

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


def all_stacks(pool: ThreadPool, main_thread: int, root: greenlet) -> list[GreenletStack]:
    """Every running job, the oldest first, then the other greenlets. Callable in any native thread:
    while that has the GIL, no greenlet moves. `root` is the main thread's outermost greenlet."""
    threads = sorted((t for t in list(pool.threads) if t.job is not None), key=lambda t: t.since)
    current = sys._current_frames().get(main_thread)
    mine = _thread_of(current)
    jobs = [_thread_stack(t, current if t is mine else t.gr_frame, t is mine) for t in threads]
    return jobs + [_other_stack(*found) for found in _other_greenlets(current, root)]


def thread_with_the_cpu(main_thread: int) -> WorkerThread | None:
    """The WorkerThread that has the main thread; None while the loop has it, or a greenlet that a
    job started. Callable in any native thread."""
    return _thread_of(sys._current_frames().get(main_thread))


def stack_of(
    thread: WorkerThread, main_thread: int, on_cpu: WorkerThread | None
) -> GreenletStack | None:
    """The stack of one WorkerThread, None for one without a job; `on_cpu` is the one that has the
    main thread."""
    if thread.job is None:
        return None
    is_mine = thread is on_cpu
    frame = sys._current_frames().get(main_thread) if is_mine else thread.gr_frame
    return _thread_stack(thread, frame, is_mine)


def blocking(
    main_thread: int, root: greenlet, last: greenlet | None
) -> tuple[greenlet, GreenletStack] | None:
    """The greenlet that has the CPU, and its stack; None while the loop itself waits. Called in
    another native thread. `last` is the one that had it at the last call."""
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
        return found, _thread_stack(found, frame, True)
    return found, _other_stack(found, frame, True)


def as_dict(stack: GreenletStack) -> dict[str, Any]:
    """As it travels through Redis."""
    job = stack.job
    item = {} if job is None else payload.loads(job[2])
    return {
        "name": stack.name,
        "class": item.get("class"),
        "id": item.get("id"),
        "queue": None if job is None else job[1],
        "slot": None if job is None else job[0].decode(),
        "seconds": None if stack.seconds is None else round(stack.seconds, 3),
        "on_cpu": stack.on_cpu,
        "waits_on": stack.waits_on or None,
        "stack": stack.stack,
    }


def _thread_of(frame: FrameType | None) -> WorkerThread | None:
    """The WorkerThread whose frames these are. Not found by the frame of `_work`: Python keeps the
    locals that are asked for with their frame, and among those is the job."""
    while frame is not None:
        if frame.f_code is WorkerThread.perform_jobs.__code__:
            thread: WorkerThread = frame.f_locals["self"]
            return thread
        frame = frame.f_back
    return None


def _thread_stack(thread: WorkerThread, frame: FrameType | None, on_cpu: bool) -> GreenletStack:
    job = thread.job
    name = "between two jobs" if job is None else describe(job)
    seconds = None if job is None else monotonic() - thread.since
    interrupted = _interrupted(frame)
    if interrupted is not None:
        frame, on_cpu = interrupted, True
    waits_on = "" if on_cpu else wait_of(frame)
    return GreenletStack(job, name, seconds, on_cpu, waits_on, tuple(_lines(frame)))


def _interrupted(frame: FrameType | None) -> FrameType | None:
    """Where the job was when the loop monitor made it let the loop turn: it has the CPU."""
    for _ in range(MAX_FRAMES):
        if frame is None:
            return None
        if frame.f_globals.get("__name__") == "gresque.worker.native.loop_monitor":
            return frame.f_back
        frame = frame.f_back
    return None


def _other_stack(found: greenlet, frame: FrameType | None, on_cpu: bool) -> GreenletStack:
    origin, name = origin_of(found), name_of(found)
    job = origin.job if origin is not None and origin.runs else None
    if origin is not None:
        ended = "" if job is not None else ", which has ended"
        name = f"{name}, started by {describe(origin.job)}{ended}"
    interrupted = _interrupted(frame)
    if interrupted is not None:
        frame, on_cpu = interrupted, True
    return GreenletStack(
        job, name, None, on_cpu, "" if on_cpu else wait_of(frame), tuple(_lines(frame))
    )


def _other_greenlets(
    current: FrameType | None, root: greenlet
) -> Iterator[tuple[greenlet, FrameType | None, bool]]:
    """The greenlets that jobs and modules have spawned, their frames, and whether they have the
    CPU. Walks all objects that the collector knows. The one that asks, for a signal, is left
    out."""
    asking = getcurrent()
    for thing in gc.get_objects():
        kind = type(thing)  # isinstance would ask a proxy what it stands for
        if not issubclass(kind, greenlet) or issubclass(kind, (WorkerThread, Hub)):
            continue
        if thing.parent is None or thing is asking:
            continue  # a native thread's own has no parent
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
