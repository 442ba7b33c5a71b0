"""Which shards there are, and which one a key belongs to. Pure: no connection is opened here.

A shard is a whole gresque: a namespace on a server. With one URL there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from gresque.connection.urls import mask
from gresque.errors import SettingsError
from gresque.queue_list import QueueList

DRAIN = "drain:"
CLUSTER = ("redis+cluster", "rediss+cluster")
SENTINEL = ("redis+sentinel", "rediss+sentinel")

_NAME = re.compile(r"[\w@+/{\[][\w.:/@+{}\[\]-]*", re.ASCII)
_TAG = re.compile(r"\{[^}]+(?=\})")
_BETWEEN = re.compile(r"\s+(?=\S*://)")
"""A path of `unix://` may have blanks, so they end a URL only before another one."""


class Shard(NamedTuple):
    """One shard: its number from 0 on, its name, and where it is."""

    number: int
    name: str
    url: str
    namespace: str
    drains: bool = False
    """Served by workers, and given no new jobs."""

    def __repr__(self) -> str:
        drains = ", drains" if self.drains else ""
        return f"Shard({self.number}, {self.name!r}, {mask(self.url)!r}{drains})"


class Entry(NamedTuple):
    """One item of REDIS_URLS."""

    name: str
    """Empty when it is to be made of the URL."""
    url: str
    drains: bool

    def masked(self) -> str:
        """As it is written, without a password."""
        return str(self._replace(url=mask(self.url)))

    def __str__(self) -> str:
        name = f"{self.name}=" if self.name else ""
        return f"{DRAIN if self.drains else ''}{name}{self.url}"

    def __repr__(self) -> str:
        return f"Entry({self.masked()!r})"


def entries_in(text: str) -> list[str]:
    """The items of REDIS_URLS: URLs between blanks, each with `drain:` and `name=` before it."""
    return _BETWEEN.split(text.strip()) if text.strip() else []


def is_named(item: str) -> bool:
    """Whether an item has a name, or drains, and is not just a URL."""
    before = item.partition("://")[0]
    return "=" in before or before.startswith(DRAIN)


def entry_of(text: str) -> Entry:
    """Read `drain:name=URL`. Raises SettingsError."""
    before, separator, after = text.partition("://")
    drains = before.startswith(DRAIN)
    name, equals, scheme = before.removeprefix(DRAIN).rpartition("=")
    if not equals:
        return Entry("", scheme + separator + after, drains)
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} is not the name of a shard; give letters and digits, such as a=redis://…"
        )
    if name.isdecimal():
        raise SettingsError(
            f"the shard {name!r} has a number as its name; shards have numbers of their own, so "
            f"give it a letter, such as s{name}"
        )
    return Entry(name, scheme + separator + after, drains)


def shards_of(urls: Sequence[str], namespace: str, count: int = 1) -> tuple[Shard, ...]:
    """The shards that these items of REDIS_URLS make, or `count` shards in the one Cluster that a
    single item names. Raises SettingsError."""
    entries = [entry_of(url) for url in urls]
    if count > 1:
        return _in_cluster(entries, namespace, count)
    shards = tuple(
        Shard(number, entry.name or _default_name(entry.url), entry.url, namespace, entry.drains)
        for number, entry in enumerate(entries)
    )
    _refuse_the_same(shards)
    if all(shard.drains for shard in shards):
        raise SettingsError("every shard drains, so no job could be enqueued; leave drain: off one")
    return shards


def _in_cluster(entries: list[Entry], namespace: str, count: int) -> tuple[Shard, ...]:
    if len(entries) > 1:
        raise SettingsError(
            f"SHARDS={count} divides one Cluster, and {len(entries)} URLs are given; give one URL, "
            "or leave SHARDS out"
        )
    entry = entries[0]
    if entry.url.partition("://")[0] not in CLUSTER:
        raise SettingsError(
            f"SHARDS={count} is for a Cluster (redis+cluster://…), and {mask(entry.url)} is none; "
            "list one URL for each shard in REDIS_URLS"
        )
    if entry.name or entry.drains:
        raise SettingsError(
            f"the shards of a Cluster are named by their namespaces; write {mask(entry.url)} alone"
        )
    if not _TAG.search(namespace):
        raise SettingsError(
            f"the namespace {namespace!r} has no hash tag, by which a Cluster keeps its keys on "
            f"one node; set RESQUE_NAMESPACE={{{namespace}}}"
        )
    names = [numbered(namespace, number) for number in range(count)]
    return tuple(Shard(number, name, entry.url, name) for number, name in enumerate(names))


def numbered(namespace: str, number: int) -> str:
    """The namespace of a shard of a Cluster: `{resque}`, `{resque:1}`, `{resque:2}` …"""
    return (
        _TAG.sub(lambda found: f"{found[0]}:{number}", namespace, count=1)
        if number
        else (namespace)
    )


def by_key(shards: Sequence[Shard], key: str) -> Shard:
    """The shard of a key, among those that do not drain. One shard more, or one less, moves only
    the keys that come to it, or were on it."""
    from hashlib import sha1  # with one shard nobody pays for it

    text = key.encode("utf-8", "surrogateescape")

    def weight(shard: Shard) -> bytes:
        return sha1(shard.name.encode() + b"\0" + text, usedforsecurity=False).digest()[:8]

    return max((shard for shard in shards if not shard.drains), key=weight)


class Placement:
    """Which shard a new job goes to."""

    def __init__(
        self, shards: Sequence[Shard], spread: str = "job", pinned: QueueList | None = None
    ) -> None:
        """`spread` and `pinned` are the settings SPREAD and PINNED_QUEUES."""
        self.shards = tuple(shards)
        self._by_queue = spread == "queue"
        self._pinned = pinned

    def is_spread(self, queue: str) -> bool:
        """Whether the jobs of a queue are on all shards."""
        if len(self.shards) == 1 or self._by_queue:
            return False
        return self._pinned is None or queue not in self._pinned.resolve((queue,))

    def of(self, queue: str, key: str = "") -> Shard | None:
        """The shard of a job by its queue, where that is on one shard, else by its key; None when
        any shard will do."""
        if not self.is_spread(queue):
            return by_key(self.shards, queue)
        return by_key(self.shards, key) if key else None

    def of_entry(self, name: str, queue: str, key: str = "") -> Shard:
        """The one shard where an entry of the schedule stands, and enqueues its jobs."""
        return self.of(queue, key or name) or self.shards[0]


def named(shards: Sequence[Shard], name: str) -> Shard:
    """The shard of this name, or of this number. Raises SettingsError."""
    for shard in shards:
        if shard.name == name:
            return shard
    if name.isdecimal() and int(name) < len(shards):
        return shards[int(name)]
    raise SettingsError(f"no shard {name!r}; there are {', '.join(each.name for each in shards)}")


def chosen(shards: Sequence[Shard], texts: Iterable[str]) -> tuple[Shard, ...]:
    """The shards that `0-3`, `5` and names stand for, by number. Raises SettingsError."""
    numbers: set[int] = set()
    for text in texts:
        first, dash, last = text.partition("-")
        if dash and first.isdecimal() and last.isdecimal():
            if not int(first) <= int(last) < len(shards):
                raise SettingsError(
                    f"{text!r} are no shards of 0-{len(shards) - 1}; give the lower number first"
                )
            numbers.update(range(int(first), int(last) + 1))
        else:
            numbers.add(named(shards, text).number)
    return tuple(shard for shard in shards if shard.number in numbers)


def _default_name(url: str) -> str:
    """One that can be typed: the place of the server, without user and password."""
    hosts, rest = _place(url)
    if url.startswith(("unix:", "embedded:")):
        return f"{hosts[0]}/{rest}" if url.startswith("unix:") else hosts[0]
    if url.partition("://")[0] in SENTINEL:
        return rest
    return f"{hosts[0]}/{rest}"


def _refuse_the_same(shards: Sequence[Shard]) -> None:
    for number, shard in enumerate(shards):
        hosts, rest = _place(shard.url)
        for other in shards[:number]:
            other_hosts, other_rest = _place(other.url)
            if rest == other_rest and set(hosts) & set(other_hosts):
                raise SettingsError(
                    f"{mask(other.url)} and {mask(shard.url)} are the same place; a shard is a "
                    "server, or a database, of its own"
                )
            if shard.name == other.name:
                raise SettingsError(
                    f"two shards are named {shard.name!r}; give each a name of its own, such as "
                    "a=redis://…"
                )


def _place(url: str) -> tuple[list[str], str]:
    """The addresses at which a server, or those that know it, are reached; and its database, or
    what stands in the place of one."""
    parts = urlsplit(url)
    database = parse_qs(parts.query).get("db", [""])[0]
    if parts.scheme in ("unix", "embedded"):
        return [parts.path or parts.scheme], database or "0"
    port = 26379 if parts.scheme in SENTINEL else 6379
    addresses = (address.lower() for address in parts.netloc.rpartition("@")[2].split(","))
    hosts = [_with_port(address or "localhost", port) for address in addresses]
    return hosts, database or parts.path.strip("/") or "0"


def _with_port(address: str, port: int) -> str:
    if address.startswith(":"):
        address = f"localhost{address}"
    return address if re.search(r":\d+$", address.rpartition("]")[2]) else f"{address}:{port}"
