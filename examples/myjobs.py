"""Jobs for trying things: `gresque work -q web -r myjobs`, in this directory."""

from __future__ import annotations

import time

import gresque


@gresque.job(queue="web")
def wait(seconds: float = 1.0) -> None:
    """Wait, as for a slow server."""
    time.sleep(seconds)


@gresque.job(queue="web")
def fail(message: str = "as asked") -> None:
    """Raise, to see it in `gresque failed`."""
    raise RuntimeError(message)
