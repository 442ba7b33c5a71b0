"""`gresque shards`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gresque.cli.asking import ListByDefault
from gresque.cli.connect import operator
from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import Column, Output, json_option
from gresque.cli.stores import open_stores
from gresque.connection.urls import endpoint
from gresque.errors import SettingsError
from gresque.formats import size
from gresque.shards import named
from gresque.text import counted, printable

if TYPE_CHECKING:
    from gresque.control.shards import Moved
    from gresque.inspector.shard_status import ShardStatus
    from gresque.shards import Shard


class _Row(NamedTuple):
    shard: Shard
    status: ShardStatus | None
    """None where the shard does not answer."""
    reason: str


def _column(title: str, name: str, rank: int = 0) -> Column:
    return Column(
        title, lambda row: None if row.status is None else getattr(row.status, name), rank=rank
    )


COLUMNS = [
    Column("SHARD", lambda row: row.shard.name, whole=True),
    Column("PLACE", lambda row: (row.status and row.status.node) or _place(row.shard)),
    Column("ROLE", lambda row: row.status.role if row.status else "away"),
    _column("WAITING", "waiting"),
    _column("RUNNING", "running"),
    _column("LATER", "later"),
    _column("FAILED", "failed"),
    _column("PROCESSES", "processes"),
    Column("REDIS CPU", lambda row: _cpu(row.status)),
    Column("MEMORY", lambda row: _memory(row.status)),
    Column("DRAINS", lambda row: "yes" if row.shard.drains else None),
]


@click.group(name="shards", cls=ListByDefault)
def command() -> None:
    """List the shards, and move what is on one to the others; alone: list them.

    \b
    Examples:
      gresque shards
      gresque shards move b
    """


@command.command(name="list")
@setting_options("redis_url", "namespace", "failure_backend")
@json_option
def list_command(flags: dict[str, Any], as_json: bool) -> None:
    """List the shards, with what waits and runs on each, and the state of its server.

    A shard that drains is worked and given no new jobs: once nothing waits, runs or is kept there,
    it can be left out of REDIS_URLS. PLACE is the server that Sentinels name, or the node of the
    Cluster that has the shard now. REDIS CPU is the server's share of one core, just now; two
    shards on one server show the same. The exit code is 0 also when a shard does not answer.

    \b
    Examples:
      gresque shards
      gresque shards --json | jq '.[] | select(.drains) | .waiting + .running + .later'
    """
    from gresque.inspector.shard_status import ShardStatus

    settings = load_settings(flags)
    shards = settings.all_shards()
    if settings.shard_name:  # --shard
        shards = (named(settings.whole.all_shards(), settings.shard_name),)
    with open_stores(flags) as stores:
        found = stores.ask(lambda store: ShardStatus.read(store, settings.failure_backend))
        rows = [
            _Row(shard, found.get(key), stores.missing.get(key, ""))
            for shard, key in zip(shards, stores.names, strict=True)
        ]
        Output(as_json).listing(
            rows, _as_dict, COLUMNS, empty="no shards",
            colour=lambda row: "red" if row.status is None else None,
        )  # fmt: skip


@command.command(name="move")
@click.argument("name", metavar="NAME")
@setting_options("redis_url", "namespace")
@json_option
def move_command(flags: dict[str, Any], name: str, as_json: bool) -> None:
    """Move the waiting jobs of shard NAME, those for later, and the failed ones to the others.

    The shard has to drain, so that nothing new comes to it: write drain: before its URL. Each queue
    is paused there while its jobs are moved. A job is enqueued elsewhere before it is removed, so
    none is lost when this is killed: call it again, and it goes on. The jobs that were being moved
    just then may run twice, or stand among the failed ones twice, and a queue may be left paused on
    the shard: the next call names it. Failed jobs keep their entries as they are. Locks of unique
    jobs, results, and what failed jobs have logged stay on the shard.

    \b
    Examples:
      gresque shards move b
    """
    from gresque.client.default import client_of
    from gresque.control.shards import move_all

    settings = load_settings(flags)
    shard = named(settings.all_shards(), name)
    if not shard.drains:
        raise SettingsError(
            f"shard {shard.name} is given new jobs; write drain: before its URL everywhere, "
            "restart what enqueues, and then move what is left"
        )
    with closing(client_of(settings)) as client, client._asking_shard(shard) as source:
        moved = move_all(source, client._spread, by=operator())
    Output(as_json).document(moved._asdict(), lambda: _lines(moved, shard))


def _lines(moved: Moved, shard: Shard) -> Iterator[str]:
    jobs, later = counted(moved.waiting, "waiting job"), counted(moved.later, "later one")
    yield f"moved {jobs}, {later}, {counted(moved.failed, 'failed one')}"
    for queue in moved.paused:
        command = f"gresque unpause {quote(queue)} --shard {quote(shard.name)}"
        yield (
            f"queue {printable(queue)} is paused on {shard.name}, by a user, or by a move that "
            f"was killed; to end it: {command}"
        )


def _as_dict(row: _Row) -> dict[str, Any]:
    shard = row.shard
    head = {"name": shard.name, "place": _place(shard), "namespace": shard.namespace}
    status = {"missing": row.reason} if row.status is None else asdict(row.status)
    return {**head, "drains": shard.drains, **status}


def _place(shard: Shard) -> str:
    return endpoint(shard.url).place


def _cpu(status: ShardStatus | None) -> str | None:
    return None if status is None or status.cpu is None else f"{status.cpu:.0%}"


def _memory(status: ShardStatus | None) -> str | None:
    if status is None or status.memory_bytes is None:
        return None
    return size(status.memory_bytes)
