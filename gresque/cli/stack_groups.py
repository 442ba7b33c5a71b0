"""Equal stacks of many greenlets as one. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gresque.clock import duration
from gresque.processes.short_names import short_process
from gresque.raised import CARRYING

NAMED = 3
"""Classes, processes and waits that a title names; of the others it gives the number."""

Greenlet = dict[str, Any]


def own_frames(stack: Sequence[str]) -> list[str]:
    """Without the frames of gevent; all of them where there are no others."""
    return [line for line in stack if not CARRYING.search(line)] or list(stack)


def grouped(stacks: Mapping[str, list[Greenlet] | None]) -> Iterator[tuple[str, list[str]]]:
    """A title and a stack for each place where greenlets stand: those that use the CPU, then the
    largest group first."""
    groups = defaultdict[tuple[bool, tuple[str, ...]], list[tuple[str, Greenlet]]](list)
    for process, greenlets in stacks.items():
        for greenlet in greenlets or ():
            place = bool(greenlet["on_cpu"]), tuple(own_frames(greenlet["stack"]))
            groups[place].append((process, greenlet))
    for (_, stack), members in sorted(
        groups.items(), key=lambda group: (not group[0][0], -len(group[1]))
    ):
        yield _title(members), list(stack)


def title(greenlet: Greenlet) -> str:
    """Of one greenlet: its job, for how long, and what it waits on."""
    since = f", for {duration(greenlet['seconds'])}" if greenlet["seconds"] is not None else ""
    if greenlet["on_cpu"]:
        return f"{greenlet['name']}{since}, on the CPU"
    waits_on = greenlet["waits_on"]
    return f"{greenlet['name']}{since}" + (f", waits on {waits_on}" if waits_on else "")


def _title(members: list[tuple[str, Greenlet]]) -> str:
    if len(members) == 1:
        ((process, greenlet),) = members
        return f"{title(greenlet)}, in {short_process(process)}"
    greenlets = [greenlet for _, greenlet in members]
    names = [greenlet.get("class") or greenlet["name"] for greenlet in greenlets]
    parts = [f"{len(members):,} × {_most(names)} in {_most(short_process(p) for p, _ in members)}"]
    ages = [each["seconds"] for each in greenlets if each["seconds"] is not None]
    if ages:
        parts.append(f"the longest for {duration(max(ages))}")
    waits = [each["waits_on"] for each in greenlets if each["waits_on"]]
    if greenlets[0]["on_cpu"]:
        parts.append("on the CPU")
    elif waits:
        parts.append(f"waits on {_most(waits)}")
    return ", ".join(parts)


def _most(names: Any) -> str:
    """`recv 10.0.0.7:80 (150), recv 10.0.0.8:80 (3) and 2 more`; a single name alone."""
    counts = Counter(map(str, names)).most_common()
    if len(counts) == 1:
        return counts[0][0]
    named = ", ".join(f"{name} ({count:,})" for name, count in counts[:NAMED])
    more = len(counts) - NAMED
    return named if more <= 0 else f"{named} and {more:,} more"
