"""Where jobs stand: the stacks of their greenlets, in the form of a failure's backtrace."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from time import monotonic
from types import FrameType

from gresque.failure.entry import frame_line
from gresque.worker.outcome import describe
from gresque.worker.thread import Crew, WorkerThread

MAX_FRAMES = 30


def all_stacks(crew: Crew) -> str:
    """Every running job with its stack, the oldest first. Called in the loop, so that every job is
    suspended."""
    running = sorted((t for t in list(crew.threads) if t.job is not None), key=lambda t: t.since)
    if not running:
        return "no jobs are running"
    return "\n".join(line for thread in running for line in _of(thread, thread.gr_frame))


def blocking_stack(crew: Crew, main_thread: int) -> tuple[WorkerThread, str] | None:
    """The job that is on the CPU, and where. Called in another native thread."""
    frame = sys._current_frames().get(main_thread)
    outermost = frame
    while outermost is not None and not _is_work(outermost):
        outermost = outermost.f_back
    if outermost is None:
        return None  # the loop itself, or the cycle
    thread: WorkerThread = outermost.f_locals["self"]
    return thread, "\n".join(_of(thread, frame))


def _is_work(frame: FrameType) -> bool:
    return frame.f_code is WorkerThread._work.__code__


def _of(thread: WorkerThread, frame: FrameType | None) -> Iterator[str]:
    if thread.job is not None:
        yield f"{describe(thread.job)}, for {monotonic() - thread.since:.1f} s:"
    for _ in range(MAX_FRAMES):
        if frame is None:
            return
        line = frame_line(frame, frame.f_lineno)
        if line is not None:
            yield f"    {line}"
        frame = frame.f_back
