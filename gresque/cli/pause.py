"""`gresque pause`."""

from __future__ import annotations

from typing import Any

import click

from gresque.cli.connect import operator
from gresque.cli.flow import named_queues, switched, warn_of_unserved, write_each
from gresque.cli.options import setting_options
from gresque.cli.output import write
from gresque.cli.stores import open_stores


@click.command(name="pause")
@named_queues
@setting_options("redis_url", "namespace")
def command(flags: dict[str, Any], queues: tuple[str, ...], is_all: bool) -> None:
    """Stop all workers from taking jobs of a queue; running jobs go on.

    From the end of the command until `gresque unpause` no worker takes a job from the queue, not
    even one that starts later. Jobs can still be enqueued. --all pauses every queue, future ones
    included. It sets Resque's own key pause-all-workers, which Resque's Ruby workers obey, too.

    \b
    Examples:
      gresque pause mail
      gresque pause --all
    """
    from gresque.control.flow import pause, pause_all
    from gresque.inspector.flow import Serving

    with open_stores(flags, changes=True) as stores:
        if is_all:
            changed = stores.ask(lambda store: pause_all(store, by=operator()))
            is_new = any(changed.values())
            write([f"all queues: {'paused' if is_new else 'were paused already'}"])
            return
        did = switched(
            stores.ask(lambda store: {name: pause(store, name, by=operator()) for name in queues})
        )
        found = stores.total(lambda store: Serving.read(store, queues), Serving.merge)
        words = {name: "paused" if new else "was paused already" for name, new in did.items()}
        write_each(found, words)
        warn_of_unserved(found, of_unknown=True)
