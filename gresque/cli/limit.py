"""`gresque limit`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gresque.cli.connect import operator
from gresque.cli.flow import warn_of_unserved
from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import complain, counted, write
from gresque.cli.stores import open_stores
from gresque.text import printable, shell

if TYPE_CHECKING:
    from gresque.control.flow import Change, Rate
    from gresque.inspector.flow import Serving
    from gresque.store.store import Store


@click.command(
    name="limit",
    # -5 is a cap that is refused, and no flag.
    context_settings={"ignore_unknown_options": True},
)
@click.argument("queue")
@click.argument("limits", metavar="[CAP] [RATE]", nargs=-1)
@click.option("--burst", type=int, help="With a rate: how many jobs start at once after a rest.")
@click.option("--no-cap", is_flag=True, help="Remove the cap.")
@click.option("--no-rate", is_flag=True, help="Remove the rate.")
@click.option("--off", is_flag=True, help="Remove both.")
@click.option("--per-shard", is_flag=True, help="Let it hold on each shard, for a spread queue.")
@setting_options("redis_url", "namespace")
def command(
    flags: dict[str, Any],
    queue: str,
    limits: tuple[str, ...],
    burst: int | None,
    no_cap: bool,
    no_rate: bool,
    off: bool,
    per_shard: bool,
) -> None:
    """Limit how many jobs of a queue run at once, how many start in a time, or both.

    The limits hold over all workers, from their next reservation on. A limit that is not given
    stays as it is. A cap is a number: 20. A rate is a number of jobs and a time: 5/s, 100/m,
    1000/h, 2/30s. Jobs start evenly; after a rest --burst of them start at once. The default burst
    is the number for a tenth of a second, and at least one. Jobs over a limit wait in their queue,
    and other queues are worked meanwhile.

    Jobs that are in flight when a queue gets its first cap are not counted: the cap is exact once
    they have ended. Lowering a cap kills no job.

    With several shards the jobs of a queue are on all of them unless it is pinned to one. A limit
    of such a queue holds on each shard for itself, and has to be given with --per-shard.

    \b
    Examples:
      gresque limit mail 20
      gresque limit mail 100/m --burst 10
      gresque limit mail 20 100/m
      gresque limit mail --no-rate
      gresque limit mail --off
    """
    from gresque.client.flow import refuse_spread
    from gresque.control.flow import CAP, RATE, checked_queue, limit
    from gresque.inspector.flow import Serving, held_jobs

    name = checked_queue(queue)
    cap, rate = _parse(limits, burst)
    if not per_shard:
        refuse_spread(load_settings(flags).placement(), name, cap, rate)
    no_cap, no_rate = no_cap or off, no_rate or off
    _check(cap, rate, no_cap, no_rate)
    drop = (CAP if no_cap else "") + (RATE if no_rate else "")

    def change_one(store: Store) -> _Limited:
        change = limit(store, name, cap, rate, drop=drop, by=operator())
        found = Serving.read(store, [name])
        held = found.policies.in_flight.get(name, 0)
        is_first = cap is not None and change.before.cap is None
        return _Limited(change, found, held, held_jobs(store, name) - held if is_first else 0)

    with open_stores(flags, changes=True) as stores:
        done = stores.ask(change_one)
        each = f", on each of {len(done)} shards" if stores.are_many else ""
        for policy in dict.fromkeys(str(one.change.after) for one in done.values()):
            write([f"{printable(name)}: {policy}{each}"])
        _say_the_rest(name, cap, [*done.values()])


class _Limited(NamedTuple):
    """What came of it on one shard; `uncounted` jobs were in flight before there was a cap."""

    change: Change
    found: Serving
    held: int
    uncounted: int


def _say_the_rest(name: str, cap: int | None, done: Sequence[_Limited]) -> None:
    from gresque.inspector.flow import Serving

    uncounted = sum(max(one.uncounted, 0) for one in done)
    over = sum(one.held for one in done if cap is not None and one.held > cap)
    if uncounted:
        write([f"{counted(uncounted, 'job')} already in flight: not counted until their end"])
    if over:
        write([f"{counted(over, 'job')} are in flight; none starts until fewer than {cap:,} are"])
    found = Serving.merge({str(number): one.found for number, one in enumerate(done)})
    if found.policies.all_paused:
        complain("warning: all queues are paused; to end that: gresque unpause --all")
    if any(one.change.after.paused for one in done):
        complain(f"warning: it is paused; to end that: {shell('gresque', 'unpause', name)}")
    if any(one.change.after.is_limited for one in done):
        warn_of_unserved(found)


def _parse(limits: tuple[str, ...], burst: int | None) -> tuple[int | None, Rate | None]:
    """Read a cap, a rate or both from these texts."""
    from gresque.control.flow import Rate, checked_cap

    rates = [text for text in limits if "/" in text]
    caps = [text for text in limits if "/" not in text]
    for kind, texts in (("caps", caps), ("rates", rates)):
        if len(texts) > 1:
            raise click.UsageError(f"{' and '.join(texts)} are two {kind}; give one")
    if burst is not None and not rates:
        raise click.UsageError("--burst belongs to a rate; give both, such as 100/m --burst 10")
    rate = Rate.parse(rates[0], burst) if rates else None
    if not caps:
        return None, rate
    if not re.fullmatch("[-+]?[0-9]{1,20}", caps[0]):
        raise click.UsageError(
            f"{caps[0]!r} is no limit; give a cap such as 20, or a rate such as 100/m"
        )
    return checked_cap(int(caps[0])), rate


def _check(cap: int | None, rate: Rate | None, no_cap: bool, no_rate: bool) -> None:
    if (cap is not None and no_cap) or (rate is not None and no_rate):
        raise click.UsageError("a limit is both set and removed; do one of these")
    if cap is None and rate is None and not no_cap and not no_rate:
        raise click.UsageError(
            "give a cap such as 20, a rate such as 100/m, or --off; gresque limits shows them"
        )
