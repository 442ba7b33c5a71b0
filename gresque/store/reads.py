"""Several reads in one round trip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gresque.store.refusals import is_missing_right
from gresque.text import decoded, encoded

if TYPE_CHECKING:
    from gresque.store.server import Server

T = TypeVar("T")

AT_ONCE = 1000
"""Keys or fields of one command; some servers refuse commands of more than 4,000 arguments."""


class Reply(Generic[T]):
    """The result of a read, once `Reads.run` is done."""

    value: T


class Reads:
    """Reads that go to Redis together, as one page needs them.

        reads = store.reads()
        size = reads.number("LLEN", store.keys.queue("mail"))
        names = reads.names("SMEMBERS", store.keys.queues)
        reads.run()
        print(size.value, names.value)

    A key of another program, of another type, counts as empty, and the log names it: no page fails
    because of it.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._pipeline: Any = server.redis.pipeline(transaction=False)
        self._takers: list[Callable[[Any], None]] = []
        self.wrong_types: list[str] = []
        """Keys that `ask` found to be of another type."""

    def ask(
        self,
        empty: T,
        command: str,
        key: str,
        *arguments: Any,
        parse: Callable[[Any], T] = lambda reply: reply,
        consequence: str = "it counts as empty",
    ) -> Reply[T]:
        """The value of a key, as `parse` reads it; `empty` when there is none. `consequence` is
        what a key of another type means, for the log."""
        reply: Reply[T] = Reply()

        def take(raw: Any) -> None:
            found = self._server.reply(empty, key, raw, consequence)
            if isinstance(raw, Exception):
                self.wrong_types.append(key)
            reply.value = empty if found is None or found is empty else parse(found)

        self._add(take, command, encoded(key), *arguments)
        return reply

    def number(self, command: str, key: str, *arguments: Any) -> Reply[int]:
        """A count; 0 for what is not one."""
        reply: Reply[int] = Reply()

        def take(raw: Any) -> None:
            reply.value = self._server.number(key, raw)

        self._add(take, command, encoded(key), *arguments)
        return reply

    def numbers(self, keys: Sequence[str]) -> Reply[list[int]]:
        """Counters, one for each key."""
        return self._mget(keys, self._server.numbers)

    def texts(self, keys: Sequence[str]) -> Reply[list[bytes | None]]:
        """Strings, one for each key."""
        return self._mget(keys, lambda _, raws: raws)

    def hash_values(self, key: str, fields: Sequence[str]) -> Reply[list[bytes | None]]:
        """Values of a hash, one for each field."""
        reply: Reply[list[bytes | None]] = Reply()
        reply.value = []
        for some in _portions(fields):

            def take(raw: Any, count: int = len(some)) -> None:
                reply.value += self._server.reply([None] * count, key, raw)

            self._add(take, "HMGET", encoded(key), *map(encoded, some))
        return reply

    def texts_of(self, command: str, key: str) -> Reply[dict[str, str]]:
        """A hash of texts, read by HGETALL."""
        return self.ask(
            {}, command, key, parse=lambda raw: {decoded(k): decoded(v) for k, v in raw.items()}
        )

    def scores(self, command: str, key: str) -> Reply[dict[str, float]]:
        """A sorted set, read by ZRANGE: member -> score, the lowest first."""
        return self.ask(
            {}, command, key, 0, -1, "withscores",
            parse=lambda raw: {
                decoded(each): float(score)
                for each, score in zip(raw[::2], raw[1::2], strict=True)
            },
        )  # fmt: skip

    def names(self, command: str, key: str, *arguments: Any) -> Reply[list[str]]:
        """Names in the order of Redis."""
        return self.ask([], command, key, *arguments, parse=lambda raws: [*map(decoded, raws)])

    def now(self) -> Reply[float]:
        """Epoch seconds by the server's clock, which all heartbeats are written by."""
        reply: Reply[float] = Reply()

        def take(raw: Any) -> None:
            seconds, microseconds = _checked(raw)
            reply.value = int(seconds) + int(microseconds) / 1_000_000

        self._add(take, "TIME")
        return reply

    def info(self) -> Reply[dict[str, Any]]:
        """The server's own numbers, as INFO has them; none where this user may not ask for them."""
        reply: Reply[dict[str, Any]] = Reply()

        def take(raw: Any) -> None:
            is_refused = isinstance(raw, Exception) and is_missing_right(raw)
            reply.value = {} if is_refused else _checked(raw)

        self._add(take, "INFO")
        return reply

    def run(self) -> None:
        """Send them, in one round trip; none when there are no reads."""
        takers, self._takers = self._takers, []
        raws = self._pipeline.execute(raise_on_error=False) if takers else []
        for take, raw in zip(takers, raws, strict=True):
            take(raw)

    def _mget(
        self, keys: Sequence[str], parse: Callable[[Sequence[str], list[bytes | None]], list[T]]
    ) -> Reply[list[T]]:
        reply: Reply[list[T]] = Reply()
        reply.value = []
        for some in _portions(keys):

            def take(raw: Any, some: Sequence[str] = some) -> None:
                reply.value += parse(some, _checked(raw))

            self._add(take, "MGET", *map(encoded, some))
        return reply

    def _add(self, take: Callable[[Any], None], command: str, *arguments: Any) -> None:
        self._pipeline.execute_command(command, *arguments)
        self._takers.append(take)


def _checked(raw: Any) -> Any:
    if isinstance(raw, Exception):
        raise raw
    return raw


def _portions(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE))
