"""What the metrics say of the busy system of `seeded`."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import redis

from gresque.store.metric_fields import bucket_of

SURGING = "sync.PullOrders"
"""The class that fails since the deploy."""
DEPLOYED = 250
"""Seconds ago."""
DONE = 671.0
FAILED = 8.6
"""A second, now."""
DEPTH_MINUTES = 30


class Rate(NamedTuple):
    """How often a class runs, in thousandths of all, and for how long."""

    job: str
    queue: str
    done: int
    seconds: float


def seed_metrics(
    pipeline: redis.Redis, dice: random.Random, rates: Sequence[Rate], errors: Mapping[str, str],
    now: int, ahead_seconds: int,
) -> None:  # fmt: skip
    """Of the last day and of some time ahead, as nothing else writes any."""
    for back in range(-ahead_seconds // 60, 60):
        _minute(pipeline, dice, rates, errors, now // 60 - back, now)
    for back in range(-ahead_seconds // 600, 144):
        _ten_minutes(pipeline, dice, rates, now // 600 - back, now)
    for back in range(DEPTH_MINUTES):
        depth = {"": (now - 60 * back) * 1000, "mail": f"{max(17_900 - 38 * 60 * back, 40)} 372000"}
        depth |= {rate.queue: f"{dice.randrange(5, 90)} {dice.randrange(100, 1500)}"
                  for rate in rates if rate.queue not in ("mail", "imports")}  # fmt: skip
        depth["imports"] = "24 7800000"
        pipeline.hset(f"resque:metrics:depth:{now // 60 - back}", mapping=depth)


def _failing(ago: float) -> float:
    """How many jobs of the surging class failed in the second that is this long ago."""
    return FAILED * min(max(1.25 - max(ago, 0) / DEPLOYED, 0.0), 1.0) if ago < DEPLOYED else 0.0


def _minute(
    pipeline: redis.Redis, dice: random.Random, rates: Sequence[Rate], errors: Mapping[str, str],
    minute: int, now: int,
) -> None:  # fmt: skip
    seconds: dict[str, int] = {}
    surge = 0.0
    for second in range(60):
        ago = now - (60 * minute + second)
        dip = 240 * math.exp(-(((ago - 140) / 14) ** 2)) + 170 * math.exp(-(((ago - 17) / 5) ** 2))
        surge += _failing(ago)
        seconds[f"{second}d"] = round(DONE + 40 * math.sin(ago / 70) - dip + dice.gauss(0, 22))
        seconds[f"{second}f"] = round(_failing(ago) * dice.uniform(0.6, 1.1) + dice.random())
    fields = {"d": sum(v for k, v in seconds.items() if k.endswith("d"))}
    fields["f"] = sum(v for k, v in seconds.items() if k.endswith("f"))
    for rate in rates:
        done = max(fields["d"] * rate.done // 1000, 1)
        failed = (
            round(surge) if rate.job == SURGING else dice.randrange(max(done // 2000, 0) + 2) // 2
        )
        pair = f"{rate.queue}|{rate.job}"
        fields |= {f"d|{pair}": done, f"s|{pair}": int(done * rate.seconds * 1000)}
        if failed:
            error = errors.get(rate.job, "OSError")
            fields |= {f"f|{pair}": failed, f"x|{pair}|{error}": failed}
    pipeline.hset(f"resque:metrics:minute:{minute}", mapping=fields)
    pipeline.expire(f"resque:metrics:minute:{minute}", 29_400)
    pipeline.hset(f"resque:metrics:second:{minute}", mapping=seconds)
    pipeline.expire(f"resque:metrics:second:{minute}", 2_100)


def _ten_minutes(
    pipeline: redis.Redis, dice: random.Random, rates: Sequence[Rate], ten: int, now: int
) -> None:
    ago = now / 600 - ten
    day = 1 - math.cos(2 * math.pi * ago / 144)  # the least at night, which is now
    over = min(ago, 1.0) if ago > 0 else 1.0  # of the one that is not over
    done = round(600 * over * (DONE - 60 + 420 * day + dice.gauss(0, 12)))
    failed = round(done * 0.0011 * dice.uniform(0.8, 1.2)) + (1500 if 0 < ago < 1 else 0)
    pipeline.hset(f"resque:metrics:ten:{ten}", mapping={"d": done, "f": failed})
    pipeline.expire(f"resque:metrics:ten:{ten}", 259_200)
    if ago > 20:
        return
    times = {}
    for rate in rates:
        middle = bucket_of(rate.seconds)
        for distance, part in ((-2, 12), (-1, 25), (0, 36), (1, 20), (2, 5), (4, 2)):
            times[f"t|{rate.job}|{max(middle + distance, 0)}"] = (
                done * rate.done * part // 100_000 + 1
            )
            wait = (16 if rate.queue == "mail" and ago < 2 else 5) + distance
            times[f"w|{rate.queue}|{wait}"] = done * rate.done * part // 900_000 + 1
    pipeline.hset(f"resque:metrics:times:{ten}", mapping=times)
    pipeline.expire(f"resque:metrics:times:{ten}", 259_200)
