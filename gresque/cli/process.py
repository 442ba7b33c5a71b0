"""`gresque process`: orders to worker processes."""

from __future__ import annotations

from itertools import chain
from typing import Any

import click

from gresque.cli.connect import operator
from gresque.cli.group import Group
from gresque.cli.options import Seconds, setting_options
from gresque.cli.output import Output, json_option
from gresque.cli.stores import open_stores
from gresque.errors import SettingsError
from gresque.text import printable


@click.group(name="process", cls=Group)
def command() -> None:
    """Pause, drain or replace single worker processes.

    Give processes as `gresque ledger` shows them: `host:pid`, or a whole id; a worker or a host
    means all of its processes. A process takes orders when it has lived for a second.

    \b
    Exit code:
      0  done
      1  some process did not answer, or is not done within --wait; it goes on
      2  a name is that of no process, worker or host

    \b
    Examples:
      gresque process drain web-07:4712
      gresque process continue web-07:4712
      gresque process recycle web-07
    """


ORDERS = {
    "pause": """Let processes take no jobs until `continue`; jobs that run go on.""",
    "continue": """Let paused and drained processes take jobs again.""",
    "drain": """Let processes take no more jobs, and wait until their last one has ended.

    What they reserved and did not start goes back to its queues. They stay until `continue`, or
    `recycle`.
    """,
    "recycle": """Replace processes: each finishes its jobs and leaves, and another one starts at
    once.

    With one thread the other one starts when the last job has ended.
    """,
}


def _add(name: str, help_text: str) -> None:
    @command.command(name=name, help=help_text)
    @click.argument("targets", metavar="PROCESS...", nargs=-1, required=True)
    @click.option(
        "--wait", type=Seconds(), default=10.0, show_default=True,
        help="Seconds to wait until it is done; 0: only ask.",
    )  # fmt: skip
    @setting_options("redis_url", "namespace")
    @json_option
    def order_command(
        flags: dict[str, Any], targets: tuple[str, ...], wait: float, as_json: bool
    ) -> int:
        return _give(name, flags, targets, wait, as_json)


for _name, _help in ORDERS.items():
    _add(_name, _help)


def _give(
    name: str, flags: dict[str, Any], targets: tuple[str, ...], wait: float, as_json: bool
) -> int:
    from gresque.control.processes import Order, find_processes, order

    with open_stores(flags, changes=True) as stores:
        known = stores.ask(lambda store: find_processes(store, targets))
        for target in targets:
            if not any(by_target[target] for by_target in known.values()):
                raise SettingsError(
                    f"no process, worker or host is named {target}; see gresque ledger"
                )
        done = stores.ask(
            lambda store: order(
                store,
                Order(name),
                [*dict.fromkeys(chain(*known[stores.name_of(store)].values()))],
                by=operator(),
                wait_seconds=wait,
            ),
            takes_long=True,
        )
        found = [each for some in done.values() for each in some]
        rows = [
            {"process": each.process, "state": each.state, "held": each.held,
             "done": each.is_over, "outcome": each.outcome}
            for each in found
        ]  # fmt: skip
        Output(as_json).document(
            rows, lambda: (f"{printable(row['process'])}: {row['outcome']}" for row in rows)
        )
    return 0 if all(each.is_over for each in found) or not wait else 1
