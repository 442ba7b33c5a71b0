"""The sites of the shards behind this one; with one shard it is the only one itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from flask import abort

from gresque.inspector.shards import ANSWER_SECONDS, Answers, ask_all
from gresque.web.site import Site, site

T = TypeVar("T")


def parts() -> Mapping[str, Site]:
    """By the names of the shards."""
    here = site()
    return here.parts or {here.shard: here}


def ask_parts(
    function: Callable[[Site], T],
    seconds: float | None = ANSWER_SECONDS,
    among: Mapping[str, Site] | None = None,
) -> Answers[T]:
    """What `function` returns for each of these sites, by default all. Several are asked at once,
    each in a thread, which is outside of the request."""
    asked = parts() if among is None else among
    known = {id(each.store): each for each in asked.values()}
    stores = {name: each.store for name, each in asked.items()}
    return ask_all(stores, lambda store: function(known[id(store)]), seconds)


def by_part(processes: Iterable[str]) -> dict[str, list[str]]:
    """These processes, by the names of the shards that they serve."""
    here = site()
    if not here.parts:
        return {here.shard: [*processes]}
    shards = here.collector.last().shards
    found: defaultdict[str, list[str]] = defaultdict(list)
    for process in processes:
        if process in shards:
            found[shards[process]].append(process)
    return found


def part_of(process: str) -> Site:
    """The site that knows this process. Aborts with 404 where none does."""
    here = site()
    if not here.parts:
        return here
    shard = here.collector.last().shards.get(process)
    if shard is None:
        abort(404, "this process has gone")
    return here.parts[shard]


def without(missing: Mapping[str, str]) -> str:
    """What follows a sentence about each shard that did not answer; empty where all did."""
    texts = (f". Shard {name} does not answer; look later if it was done" for name in missing)
    return "".join(texts)
