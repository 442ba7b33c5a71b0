"""The jobs of pair.py, for a worker of either tree: only what gresque has always had."""

from __future__ import annotations

import os
import time

import gresque


@gresque.job(queue="pair", name="Noop")
def noop(number: int) -> None:
    """Nothing: what remains is what a job costs."""


@gresque.job(queue="pair", name="Sleep")
def sleep(number: int) -> None:
    time.sleep(0.05)


@gresque.job(queue="pair", name="Start")
def start(number: int) -> None:
    """Note when it started, on the clock that all processes share."""
    with open(os.environ["PAIR_STARTS"], "a") as file:  # noqa: PTH123
        file.write(f"{number} {time.monotonic()}\n")
