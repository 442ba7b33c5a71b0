"""Jobs that count themselves beside Redis, which may be away."""

from __future__ import annotations

import os
import time

import gresque


@gresque.job(queue="q", name="Tell")
def tell(key: str, seconds: float = 0) -> None:
    """Note each start and each end in the file TALLY."""
    _note_in_tally(f"start {key}")
    time.sleep(seconds)
    _note_in_tally(f"end {key}")


def _note_in_tally(line: str) -> None:
    tally = os.open(os.environ["TALLY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(tally, f"{line}\n".encode())
    finally:
        os.close(tally)


@gresque.job(queue="q", name="TellWhenLet")
def tell_when_let(key: str, path: str) -> None:
    """Ends when there is this file, however long the test takes to make it."""
    _note_in_tally(f"start {key}")
    while not os.path.exists(path):  # noqa: PTH110
        time.sleep(0.02)
    _note_in_tally(f"end {key}")


@gresque.job(queue="q", name="TellAndEnqueue")
def tell_and_enqueue(key: str) -> None:
    """Note the run, and enqueue a job that tells of it, too."""
    tell.enqueue(f"{key}'s")
    tell(key)


@gresque.job(queue="q", name="TellAndFail")
def tell_and_fail(key: str, seconds: float = 0) -> None:
    tell(key, seconds)
    raise ValueError(key)
