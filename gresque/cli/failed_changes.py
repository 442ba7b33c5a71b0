"""What `gresque failed retry`, `remove` and `clear` do to the failed jobs of one shard after the
other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.asking import confirm
from gresque.cli.connect import operator
from gresque.cli.failed_job import place_of
from gresque.cli.output import counted, write
from gresque.cli.progress import ProgressLine
from gresque.cli.stores import Stores, backend_of

if TYPE_CHECKING:
    from gresque.failure.backend import GroupCount, RedisBackend
    from gresque.failure.failed_list import FailedJob
    from gresque.failure.search import Group, Wanted
    from gresque.inspector.shards import InShard
    from gresque.store.store import Store


def by_shard(rows: Iterable[InShard[FailedJob]]) -> dict[str, list[FailedJob]]:
    """The jobs of each shard."""
    found: defaultdict[str, list[FailedJob]] = defaultdict(list)
    for row in rows:
        found[row.shard].append(row.value)
    return dict(found)


def retry_all(
    backend: Callable[[Store], RedisBackend], stores: Stores, wanted: Wanted, yes: bool
) -> None:
    from gresque.control.retry import retry_all_failed
    from gresque.failure.backend import Retries

    count = 0 if wanted else sum(stores.ask(lambda store: backend(store).count()).values())
    if count:
        confirm(f"Retry every one of {counted(count, 'failed job')} that was not retried yet?", yes)
    with ProgressLine("gone through") as progress:
        done = stores.each(
            lambda store: (
                Retries()
                if progress.is_stopped
                else retry_all_failed(backend(store), wanted, progress, by=operator())
            )
        )
    result = sum(done.values(), Retries())
    write([f"{counted(result.retried, 'failed job')} retried"])
    for number, said in (
        (result.retried_before, "retried before, left alone"),
        (result.refused, "with no job that could be retried, left alone; see gresque failed list"),
    ):
        if number:
            click.echo(f"{number:,} {said}", err=True)
    progress.complain_if_stopped()


def groups_of(
    flags: dict[str, Any], stores: Stores, wanted: Wanted, progress: ProgressLine
) -> dict[Group, GroupCount]:
    """Of one shard after the other: to decode the entries is what takes the time."""
    from gresque.failure.backend import merge_groups

    backend = backend_of(flags)
    found = stores.each(
        lambda store: {} if progress.is_stopped else backend(store).groups(wanted, progress)
    )
    return merge_groups(found.values())


def remove_all(flags: dict[str, Any], stores: Stores, wanted: Wanted, yes: bool) -> None:
    from gresque.control.remove import remove_all_failed

    backend = backend_of(flags)
    if not yes:
        with ProgressLine("read") as progress:
            found = groups_of(flags, stores, wanted, progress)
            progress.complain_if_stopped()
        count = sum(group.count for group in found.values())
        if count:
            confirm(f"Remove {counted(count, 'failed job')}, for good?", yes)
    with ProgressLine("gone through") as progress:
        removed = in_turn(
            stores, progress,
            lambda store: remove_all_failed(backend(store), wanted, progress, by=operator()),
        )  # fmt: skip
    write([f"{counted(removed, 'failed job')} removed"])
    progress.complain_if_stopped()


def in_turn(stores: Stores, progress: ProgressLine, change: Callable[[Store], int]) -> int:
    """Change one shard after the other; returns how many entries were. After Ctrl-C none more."""
    return sum(stores.each(lambda store: 0 if progress.is_stopped else change(store)).values())


def complain_of_moved(jobs: Iterable[InShard[FailedJob]]) -> None:
    """Where there are such jobs, the command ends with 2."""
    moved = [*map(place_of, jobs)]
    if moved:
        raise click.ClickException(
            f"not retried: {', '.join(moved)}; another command moved or changed "
            "the entry meanwhile: list again"
        )
