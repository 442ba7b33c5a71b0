"""`gresque locks`: look at the locks of unique jobs, and release one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gresque.cli.asking import ListByDefault
from gresque.cli.connect import operator
from gresque.cli.filters import CLASS, filters
from gresque.cli.options import setting_options
from gresque.cli.output import Column, complain, json_option
from gresque.cli.stores import open_stores
from gresque.clock import duration
from gresque.processes.short_names import short_id
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.client.locks import UniqueLock
    from gresque.store.store import Store


@click.group(name="locks", cls=ListByDefault)
def command() -> None:
    """Look at the locks of unique jobs, release one; alone: list them.

    \b
    Examples:
      gresque locks
      gresque locks --class myapp.sync
      gresque locks release 'myapp.sync {"site":7}'
    """


@command.command(name="list")
@filters(CLASS)
@setting_options("redis_url", "namespace")
@json_option
def list_command(job_class: str | None, flags: dict[str, Any], as_json: bool) -> None:
    """List the locks of unique jobs, the oldest first.

    UNIQUE says for how long a job holds its lock: from its enqueue until it starts (queued), while
    it runs (running), from its enqueue to its end (both), or for a time (throttle). NEXT is yes
    where one more run follows the job. WAIT is how many jobs wait for the lock.
    """
    from gresque.client.locks import held_locks

    nows = []

    def read(store: Store, *_: int | None) -> list[UniqueLock]:
        locks, now = held_locks(store)
        nows.append(now)
        return [lock for lock in locks if job_class in (None, lock.name)]

    with open_stores(flags) as stores:
        found = [*stores.rows(read, lambda lock: (lock.since or 0.0, lock.digest))]
        stores.listing(
            as_json, found, as_dict, columns(max(nows)),
            empty=f"no {'' if job_class is None else printable(job_class) + ' '}job holds a lock",
        )  # fmt: skip


def columns(now: float) -> list[Column]:
    return [
        Column(
            "FOR",
            lambda lock: None if lock.since is None else duration(now - lock.since),
            whole=True,
        ),
        Column("UNIQUE", lambda lock: lock.unique, whole=True),
        # Where there is little room the column is empty, and so left out: the key has the class.
        Column("CLASS", lambda lock: lock.name, lambda lock: None),
        Column("KEY", key_of, _with_class),
        Column("QUEUE", lambda lock: lock.queue, rank=1),
        Column("JOB ID", lambda lock: lock.job_id, lambda lock: short_id(lock.job_id), whole=True),
        Column("NEXT", lambda lock: "yes" if lock.next_run else None, whole=True),
        Column("WAIT", lambda lock: lock.waiting or None),
        Column("EXPIRES IN", _expiry, rank=2, whole=True),
    ]


def _expiry(lock: UniqueLock) -> str | None:
    return None if lock.expires_in is None else duration(lock.expires_in)


def key_of(lock: UniqueLock) -> str:
    """The name that `release` takes: the key as text, or the digest where the lock has no text."""
    return lock.key or lock.digest


def _with_class(lock: UniqueLock) -> str:
    return lock.key or f"{lock.name} {lock.digest}"


def as_dict(lock: UniqueLock) -> dict[str, Any]:
    return {
        "digest": lock.digest,
        "id": lock.job_id,
        "unique": lock.unique,
        "class": lock.name or None,
        "key": lock.key,
        "queue": lock.queue or None,
        "since": lock.since,
        "expires_in": lock.expires_in,
        "next": lock.next_run,
        "waiting": lock.waiting,
    }


@command.command(name="release")
@click.argument("key")
@setting_options("redis_url", "namespace")
def release_command(key: str, flags: dict[str, Any]) -> int:
    """Release the lock with this key, as the list shows it, or with this digest or job id; the
    last 8 digits of an id will do.

    Its job goes on, or goes on waiting. From then on another job with the key may be enqueued. Jobs
    that wait for the lock are due at once, and a further run of the job is enqueued now.

    \b
    Exit code:
      0  it is released
      1  no lock has this key
      2  several jobs have an id that ends so, or the command line is wrong
    """
    from gresque.control.locks import release

    with open_stores(flags, changes=True) as stores:
        found = stores.ask(lambda store: release(store, key, by=operator()))
        released = [lock for locks in found.values() for lock in locks]
        if not released:
            complain(f"no lock has the key {printable(key)!r}; the list shows them: gresque locks")
            return 1
        for lock in released:
            click.echo(f"released {printable(key_of(lock))}, held by job {printable(lock.job_id)}")
    return 0
