"""`gresque unpause`."""

from __future__ import annotations

from typing import Any

import click

from gresque.cli.connect import operator
from gresque.cli.flow import named_queues, switched, write_each
from gresque.cli.options import setting_options
from gresque.cli.output import complain, counted, write
from gresque.cli.stores import open_stores
from gresque.text import shell


@click.command(name="unpause")
@named_queues
@setting_options("redis_url", "namespace")
def command(flags: dict[str, Any], queues: tuple[str, ...], is_all: bool) -> None:
    """End the pause of a queue; idle workers take its jobs at once.

    --all ends the pause of all queues (Resque's pause-all-workers), whichever program has set it. A
    queue that is paused by name stays paused.

    \b
    Examples:
      gresque unpause mail
      gresque unpause --all
    """
    from gresque.control.flow import unpause, unpause_all
    from gresque.inspector.flow import Serving

    with open_stores(flags, changes=True) as stores:
        if is_all:
            changed = stores.ask(lambda store: unpause_all(store, by=operator()))
            write([f"all queues: {'unpaused' if any(changed.values()) else 'were not paused'}"])
        did = switched(
            stores.ask(lambda store: {name: unpause(store, name, by=operator()) for name in queues})
        )
        found = stores.total(lambda store: Serving.read(store, queues), Serving.merge)
        words = {name: "unpaused" if new else "was not paused" for name, new in did.items()}
        write_each(found, words)
        left = [name for name, policy in found.policies.policies.items() if policy.paused]
        if found.policies.all_paused:
            complain("warning: all queues are paused still; to end that: gresque unpause --all")
        elif is_all and left:
            complain(
                f"warning: {counted(len(left), 'queue')} paused by name "
                f"{'stays' if len(left) == 1 else 'stay'} so: "
                f"{shell('gresque', 'unpause', *left[:10])}"
            )
