"""The stores of a command that looks or changes something: one for each shard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gresque.cli.options import load_settings
from gresque.cli.output import Column, Output, complain
from gresque.errors import RedisUnavailable, SettingsError

if TYPE_CHECKING:
    from gresque.failure.backend import RedisBackend
    from gresque.inspector.shards import InShard
    from gresque.store.store import Store

T = TypeVar("T")

LOOK_SECONDS = 5.0
"""For how long a command that only looks waits for a reply of its only server."""
ANSWER_SECONDS = 1.5
"""For how long one that asks several shards waits for each of them: it has come up and has printed
what the others say within 2 s or little more."""


class Stores:
    """The stores by the names of their shards; one shard has no name.

    Several are asked at the same time. One that does not answer is left out from then on, and named
    on stderr at the end of the command; where there is only one, its errors are raised.
    """

    def __init__(self, stores: Mapping[str, Store], changes: bool = False) -> None:
        self._there = dict(stores)
        self._changes = changes
        self._seconds = ANSWER_SECONDS
        self.names = tuple(stores)
        self.missing: dict[str, str] = {}
        """Why a shard is left out."""
        self.are_named = False
        """The command says itself which ones are missing."""
        self._looked = not self.are_many

    @property
    def are_many(self) -> bool:
        return len(self.names) > 1

    @property
    def only(self) -> Store:
        """Where there is one."""
        (found,) = self._there.values()
        return found

    def name_of(self, store: Store) -> str:
        return next(name for name, each in self._there.items() if each is store)

    def ask(
        self,
        function: Callable[[Store], T],
        *,
        only: Iterable[str] | None = None,
        takes_long: bool = False,
    ) -> dict[str, T]:
        """The answers by shard, of these shards alone if `only` is given. What `takes_long` has no
        limit, once all have said that they are there."""
        if takes_long:
            self._look_which_are_there()
        asked = self._chosen(only)
        if not self.are_many:
            return {name: function(store) for name, store in asked.items()}
        if not asked:
            return {}
        from gresque.inspector.shards import ask_many

        found = ask_many(asked, function, None if takes_long else self._seconds)
        for name, reason in found.missing.items():
            self._leave_out(name, reason)
        return found.by_shard

    def each(
        self, function: Callable[[Store], T], *, only: Iterable[str] | None = None
    ) -> dict[str, T]:
        """The same for what changes much, and shows how far it is: one shard after the other, once
        all have said that they are there."""
        if not self.are_many:
            return self.ask(function, only=only)
        from redis.exceptions import RedisError

        from gresque.inspector.shards import reason_of

        self._look_which_are_there()
        done = {}
        for name, store in self._chosen(only).items():
            try:
                done[name] = function(store)
            except (RedisError, RedisUnavailable) as error:
                self._leave_out(name, reason_of(store, error))
        return done

    def total(
        self,
        read: Callable[[Store], T],
        merge: Callable[[Mapping[str, T]], T],
    ) -> T:
        """What is read of all shards together."""
        found = self.ask(read)
        return merge(found) if self.are_many else found[self.names[0]]

    def rows(
        self,
        read: Callable[[Store, int, int | None], Iterable[T]],
        order: Callable[[T], Any],
        skip: int = 0,
        count: int | None = None,
        *,
        reverse: bool = False,
    ) -> Iterable[InShard[T]]:
        """`count` rows of one list after the first `skip`. `read` gets a store, how many rows to
        skip, and how many are wanted; those of one store are read as they are taken. `order` is
        that of the list, `reverse`: the greatest first."""
        from gresque.inspector.shards import InShard, merge_rows

        if not self.are_many:
            return (InShard("", row) for row in read(self.only, skip, count))
        stop = None if count is None else skip + count
        found = self.ask(lambda store: [*islice(read(store, 0, stop), stop)])
        return merge_rows(found, order, skip, count, reverse=reverse)

    def listing(
        self,
        as_json: bool,
        rows: Iterable[InShard[T]],
        as_dict: Callable[[T], dict[str, Any]],
        columns: Sequence[Column],
        empty: str,
        colour: Callable[[T], str | None] = lambda row: None,
        shard: Column | None = None,
    ) -> None:
        """Print rows, with the shard of each where there are several: in the column `shard`."""
        if self.are_many:
            Output(as_json).listing(
                rows,
                lambda row: {"shard": row.shard, **as_dict(row.value)},
                [shard or SHARD, *map(_of_value, columns)],
                empty,
                lambda row: colour(row.value),
            )
        else:
            plain = (row.value for row in rows)
            Output(as_json).listing(plain, as_dict, columns, empty, colour)

    def document(self, as_json: bool, found: Any, lines: Callable[[], Iterable[str]]) -> None:
        """Print one thing. An object says which shards are missing in it, where there are
        several."""
        if self.are_many and isinstance(found, dict):
            found = {**found, "missing_shards": self.missing}
        Output(as_json).document(found, lines)

    def complain(self) -> None:
        """Name the shards that are missing, unless the command has done so."""
        if self.are_named:
            return
        what = "nothing more is changed there" if self._changes else "its numbers are missing"
        for name, reason in self.missing.items():
            complain(f"shard {name} does not answer, {what}: {reason}")

    def _look_which_are_there(self) -> None:
        if not self._looked:
            from gresque.inspector.shards import is_there

            self._looked = True
            self.ask(is_there)

    def _chosen(self, only: Iterable[str] | None) -> dict[str, Store]:
        if only is None:
            return dict(self._there)
        wanted = set(only)
        return {name: store for name, store in self._there.items() if name in wanted}

    def _leave_out(self, name: str, reason: str) -> None:
        self._there.pop(name, None)
        self.missing[name] = reason
        if not self._there:
            self.missing.clear()
            raise RedisUnavailable(f"no shard answers; the last one asked, {name}: {reason}")


SHARD = Column("SHARD", lambda row: row.shard, whole=True)


def _of_value(column: Column) -> Column:
    """A column of the rows of one shard for those of several."""
    short = column.short
    return column._replace(
        cell=lambda row: column.cell(row.value),
        short=None if short is None else lambda row: short(row.value),
    )


@contextmanager
def open_stores(flags: dict[str, Any], *, changes: bool = False) -> Iterator[Stores]:
    """The stores of the shards that `--redis`, `--namespace` and `--shard`, or their ENV, name;
    closed at the end. With `changes` the exit code is 1 when a shard is missing, and a reply of the
    only server may take as long as it takes.

    Raises RedisUnavailable where the only server, or all of them, do not answer.
    """
    # Imported here: the command line is loaded before `gresque work` patches, redis-py is not.
    from gresque.connection.errors import plain_errors
    from gresque.store.store import Store

    settings = load_settings(flags)
    shards, replicas = settings.all_shards(), settings.enqueue_wait_replicas
    are_many = len(shards) > 1
    limit = None if changes else ANSWER_SECONDS if are_many else LOOK_SECONDS
    with ExitStack() as stack:
        found = Stores(
            {
                shard.name if are_many else "": stack.enter_context(
                    closing(
                        Store(
                            shard.url,
                            shard.namespace,
                            reply_seconds=limit,
                            wait_replicas=replicas,
                        )
                    )
                )
                for shard in shards
            },
            changes,
        )
        stack.callback(found.complain)
        if are_many:
            yield found
        else:
            with plain_errors(shards[0].url), hanging(shards[0].url):
                yield found
    if changes and found.missing:
        raise click.exceptions.Exit(1)


@contextmanager
def open_store(flags: dict[str, Any]) -> Iterator[Store]:
    """The store of a command that has to be called for one shard after the other."""
    shards = load_settings(flags).all_shards()
    if len(shards) > 1:
        names = " or ".join(f"--shard {shard.name}" for shard in shards)
        raise SettingsError(f"this is done on one shard at a time; say which: {names}")
    with open_stores(flags, changes=True) as stores:
        yield stores.only


@contextmanager
def hanging(url: str) -> Iterator[None]:
    """Say of a server that takes a call and does not reply that it hangs."""
    from redis.exceptions import TimeoutError as RedisTimeoutError

    from gresque.connection.errors import explain

    try:
        yield
    except RedisTimeoutError as error:
        if "connecting" in str(error):
            raise
        raise RedisUnavailable(f"{explain(url, error)}: it hangs, or is busy") from None


def backend_of(flags: dict[str, Any]) -> Callable[[Store], RedisBackend]:
    """The failed jobs of a store, from where `--failure-backend` keeps them."""
    from gresque.failure.backend import open_backend

    setting = load_settings(flags).failure_backend
    return lambda store: open_backend(setting, store)
