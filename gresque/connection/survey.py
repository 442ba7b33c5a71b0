"""What the servers behind a URL say of each other, for `gresque check`: which primary each Sentinel
names, and the state of a Cluster."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gresque.connection.search import Dialler, Refusal
from gresque.connection.sentinels import SENTINEL_SECONDS
from gresque.connection.urls import Address, Endpoint, shown


@dataclass(frozen=True)
class SentinelAnswer:
    """The primary that a Sentinel names, empty where it names none, and then why."""

    place: str
    primary: str
    error: str = ""


@dataclass(frozen=True)
class ClusterFacts:
    """A Cluster, as the node sees it that has the slot."""

    slot: int
    owner: str
    primaries: int
    """Nodes that have slots."""
    down: tuple[str, ...]
    """Nodes that do not answer."""
    moving: str = ""
    """Where the slot is being moved to, or from, key by key; empty when it is not."""


def ask_sentinels(dialler: Dialler, at: Endpoint) -> tuple[SentinelAnswer, ...]:
    """Each of them in its turn, for half a second at most."""
    return tuple(_ask_sentinel(dialler, address, at.name) for address in at.hosts)


def _ask_sentinel(dialler: Dialler, address: Address, name: str) -> SentinelAnswer:
    place = shown(address)
    try:
        line = dialler.sentinel(address, SENTINEL_SECONDS)
        try:
            found = line.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
        finally:
            line.close()
    except TimeoutError:
        return SentinelAnswer(place, "", "no answer in time")
    except OSError as error:
        return SentinelAnswer(place, "", error.strerror or str(error))
    except Refusal as error:
        return SentinelAnswer(place, "", str(error))
    if found is None:
        return SentinelAnswer(place, "", f"it knows no primary {name}")
    return SentinelAnswer(place, shown((found[0].decode(), int(found[1]))))


def cluster_facts(nodes: str, slot: int) -> ClusterFacts:
    """Read the reply to CLUSTER NODES of the node that has the slot."""
    lines = [line.split(" ") for line in nodes.splitlines() if line.count(" ") >= 7]
    places = {line[0]: _place(line[1]) for line in lines}
    own: Sequence[str] = next((line for line in lines if "myself" in line[2].split(",")), ())
    return ClusterFacts(
        slot,
        _place(own[1]) if own else "",
        sum("master" in line[2].split(",") and len(line) > 8 for line in lines),
        tuple(_place(line[1]) for line in lines if "fail" in line[2].split(",")),
        _moving(own[8:], slot, places),
    )


def _place(address: str) -> str:
    """`host:port` of `host:port@busport,hostname`."""
    place, _, rest = address.partition("@")
    name = rest.partition(",")[2]
    return f"{name}:{place.rpartition(':')[2]}" if name else place


def _moving(parts: Sequence[str], slot: int, places: dict[str, str]) -> str:
    for part in parts:
        found = re.fullmatch(r"\[(\d+)-([<>])-(\w+)\]", part)
        if found is not None and int(found[1]) == slot:
            return f"{'to' if found[2] == '>' else 'from'} {places.get(found[3], found[3])}"
    return ""
