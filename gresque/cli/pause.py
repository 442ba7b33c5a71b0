"""`gresque pause`."""

from __future__ import annotations

from typing import Any

import click

from gresque.cli.connect import open_store, operator
from gresque.cli.flow import named_queues, warn_of_unserved, write_each
from gresque.cli.options import setting_options
from gresque.cli.output import write


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

    with open_store(flags) as store:
        if is_all:
            changed = pause_all(store, by=operator())
            write([f"all queues: {'paused' if changed else 'were paused already'}"])
            return
        did = {
            name: "paused" if pause(store, name, by=operator()) else "was paused already"
            for name in queues
        }
        found = Serving.read(store, queues)
    write_each(found, did)
    warn_of_unserved(found)
