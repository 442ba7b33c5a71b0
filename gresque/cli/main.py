"""The command line. Commands are loaded when they are called: `gresque work` has to patch the
standard library before anything imports redis-py."""

from __future__ import annotations

import errno
import gc
import importlib
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

import gresque.stdio as stdio
from gresque.cli.group import Group, explain
from gresque.cli.output import complain, write
from gresque.cli.postponed import postpone
from gresque.connection.urls import mask_within
from gresque.errors import BootError, GresqueError, RedisUnavailable
from gresque.text import from_os
from gresque.version import __version__

COMMANDS = {
    "work": "Work queues: fork worker processes and perform jobs.",
    "demo": "Watch real work, a process that is killed and a job that hogs the CPU.",
    "status": "Show what is wrong, the worst first, and the totals.",
    "enqueue": "Put jobs into a queue.",
    "queues": "List queues, look into one, move its jobs to another, clear it.",
    "workers": "List the workers with their queues, start time and job counts; prune a dead one.",
    "delayed": "List jobs that wait for their time, run, move or cancel them.",
    "running": "List the jobs that run now, or count them by class and queue.",
    "job": "Show all that is known of one job, wherever it is.",
    "ledger": "Show the jobs that each worker process holds, and the last recoveries.",
    "kill": "Kill running jobs.",
    "stacks": "Show where the running jobs stand, and what they wait on.",
    "process": "Pause, drain or replace single worker processes.",
    "retries": "List the jobs that wait to run again, run them now, cancel them.",
    "pause": "Stop workers from taking jobs of a queue, or of all queues.",
    "unpause": "End the pause of a queue, or of all queues.",
    "limit": "Limit how many jobs of a queue run at once, or start in a time.",
    "limits": "List the queues that are paused or limited, with their current state.",
    "locks": "List the locks of unique jobs, release one.",
    "mark": "Mark this moment in the charts, such as that of a deploy.",
    "failed": "List, show, retry, remove and clear failed jobs.",
    "cron": "List the schedule, and pause, run and check its entries.",
    "stats": "Show the counters.",
    "shards": "List the shards with what is on each, move what waits on one.",
    "web": "Serve the dashboard.",
    "top": "See what is wrong, and act on it, in a terminal.",
    "audit": "Show who did what by these commands and the pages.",
    "supervisor-config": "Print a program section for supervisord.",
    "check": "Print every setting with its source, and warn about likely problems.",
}

WORKING = (["work"], ["demo"], ["check"])
"""These run the code of jobs, or what a worker would, in a process as it comes; but a worker leaves
out the asyncio half of redis-py, which its children would take over and nobody uses."""
OBJECTS_OF_A_COMMAND = 100_000

REDIS = {
    "ConnectionError": "redis.exceptions",
    "ConnectionPool": "redis.connection",
    "DataError": "redis.exceptions",
    "Redis": "redis.client",
    "RedisError": "redis.exceptions",
    "ResponseError": "redis.exceptions",
    "TimeoutError": "redis.exceptions",
}
"""What gresque takes of redis-py by these names, and where it stands there."""
ASYNCIO = {
    "IncompleteReadError": "asyncio.exceptions",
    "Lock": "asyncio.locks",
    "StreamReader": "asyncio.streams",
}
"""The same for what redis-py takes of asyncio while it is imported."""

UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""The device of a file or terminal does not take what is printed."""


class LazyGroup(Group):
    """A group whose commands live in modules of their own, `gresque.cli.<name>`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module: Any = importlib.import_module(f"gresque.cli.{name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gresque")
def gresque() -> None:
    """Resque for Python on gevent: no lost jobs, millions a minute, every job visible."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit: 0 when it worked, 2 for wrong input, 1 when it could not be done.

    Errors are one line on stderr, never a traceback.
    """
    stdio.open_missing()
    if sys.argv[1:2] not in WORKING:
        _start_cheaply()
    else:
        _load_for_jobs()
    if sys.argv[1:2] == ["work"]:
        postpone("redis.asyncio", but_for="redis.asyncio.observability")
    code = run(arguments)
    stdio.finish()
    try:
        sys.stdout.flush()
    except OSError as error:
        # Otherwise the interpreter fails at its exit, when it flushes its buffer.
        stdio.become_null([stdio.STDOUT])
        if not isinstance(error, BrokenPipeError):
            code = _complain(_cannot_write(error), 1)
    sys.exit(code)


def _load_for_jobs() -> None:
    """What job modules ask of gresque is loaded once, before a worker patches the standard library
    and forks: processes without PRELOAD load those modules themselves."""
    importlib.import_module("gresque.api")


def _start_cheaply() -> None:
    """Two thirds of a command that looks are imports: a quarter of its CPU is saved by leaving out
    those that it never needs, and by looking for garbage less often than they make objects."""
    postpone("redis", but_for="redis", names=REDIS)
    postpone("redis.asyncio", but_for="redis.asyncio.observability")
    postpone("asyncio", but_for="asyncio", names=ASYNCIO)
    postpone("importlib.metadata")
    gc.set_threshold(OBJECTS_OF_A_COMMAND)


def run(arguments: list[str] | None) -> int:
    given = [from_os(text) for text in (sys.argv[1:] if arguments is None else arguments)]
    try:
        code = gresque.main(args=given, prog_name="gresque", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        write([error.format_message()])
        return 0
    except (click.Abort, KeyboardInterrupt):
        return 130
    except click.ClickException as error:
        return _complain(explain(error), 2)
    except BootError as error:
        return _complain(str(error), 1, error.more)
    except RedisUnavailable as error:
        return _complain(str(error), 1)
    except GresqueError as error:
        return _complain(str(error), 2)
    except BrokenPipeError:
        # The reader of our output left, as `| head` does.
        return 0
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        return _complain(_cannot_write(error), 1)
    return code if isinstance(code, int) else 0


def _cannot_write(error: OSError) -> str:
    return f"cannot write the output: {error.strerror}"


def _complain(message: str, code: int, more: Sequence[str] = ()) -> int:
    with suppress(OSError):
        complain(f"gresque: {mask_within(message)}")
        for line in more:
            complain(f"  {mask_within(line)}")
    return code
