"""What is wrong, or may be, with a server by what it says of itself, and how that is shown. Pure: a
function for each finding, listed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gresque.connection.urls import endpoint
from gresque.inspector.server_facts import MOST_ARGUMENTS, ServerFacts
from gresque.text import printable

OLDEST_REDIS = (6, 2)
CLOCKS_APART_SECONDS = 2.0
CONNECTIONS_OF_A_PROCESS = 2
CONNECTIONS_OF_PUSHES = 16
"""At most, of a process whose jobs enqueue; see `store.producer_slots`."""
LAGGING_SECONDS = 10


def errors(server: ServerFacts) -> Iterator[str]:
    """What keeps a worker from working."""
    return (found for check in ERRORS for found in check(server))


def warnings(server: ServerFacts) -> Iterator[str]:
    return (found for check in WARNINGS for found in check(server))


def shown_fact(name: str, value: Any) -> str:
    """One of the `rows`, as text."""
    if value is None:
        return "unknown: the server does not say"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "replicas":
        each = (
            f"{one['place']} ({one['lag_bytes']:,} bytes behind, heard {one['lag_seconds']} s ago)"
            for one in value
        )
        return ", ".join(each) or "none"
    if name == "sentinels":
        answers = (f"{one['place']} names {one['primary'] or 'no primary'}" for one in value)
        there = sum(bool(one["primary"]) for one in value)
        return f"{there} of {len(value)} answer: {', '.join(answers)}"
    if name == "cluster":
        return f"slot {value['slot']} at {value['owner']}, {value['primaries']} nodes with slots"
    return str(value)


def _is_too_old(server: ServerFacts) -> Iterator[str]:
    version = server.info.get("redis_version")
    if version and _numbers(version) < OLDEST_REDIS:
        yield f"Redis {version} is too old; gresque needs 6.2 or later"


def _is_a_replica(server: ServerFacts) -> Iterator[str]:
    if server.info.get("role") == "slave":
        place = endpoint(server.settings.redis_url).place
        yield f"{place} is a replica: give the URL of the primary"


def _runs_no_scripts(server: ServerFacts) -> Iterator[str]:
    if server.refused_script:
        yield f"the server refuses EVAL, by which workers reserve jobs: {server.refused_script}"


def _takes_few_arguments(server: ServerFacts) -> Iterator[str]:
    if server.refused_arguments:
        yield (
            f"the server refuses a call with {MOST_ARGUMENTS:,} arguments, as many threads need "
            f"it: {server.refused_arguments}"
        )


def _refuses_wait(server: ServerFacts) -> Iterator[str]:
    if server.refused_wait:
        yield (
            f"the server refuses WAIT: {server.refused_wait.rstrip('.')}; allow it, or set "
            "ENQUEUE_WAIT_REPLICAS to 0"
        )


def _does_not_track(server: ServerFacts) -> Iterator[str]:
    polling = (
        f"idle workers find new jobs by polling, every {server.settings.interval:g} s"  # both ways
    )
    if not server.resp3:
        yield f"the server does not speak RESP3 (HELLO 3), so it announces no keys: {polling}"
    elif not server.tracking:
        yield f"the server refuses CLIENT TRACKING: {polling}"
    elif server.tracking_in_scripts is False:
        yield f"the server does not announce keys that were read by scripts: {polling}"


def _evicts(server: ServerFacts) -> Iterator[str]:
    if server.policy and server.policy.startswith("allkeys"):
        yield (
            f"maxmemory-policy is {server.policy}: a full Redis throws queues and jobs away; "
            "set it to noeviction"
        )


def _keeps_nothing(server: ServerFacts) -> Iterator[str]:
    if server.append_only is not False:
        return
    if server.replicas:
        yield (
            "appendonly is no: a primary that is restarted before a replica is promoted comes back "
            "without its last jobs, or without any, and its replicas follow it; set it to yes"
        )
    else:
        yield (
            "appendonly is no: when the server dies, what was enqueued and done since its last "
            "save is lost; set it to yes"
        )


def _takes_jobs_alone(server: ServerFacts) -> Iterator[str]:
    if server.replicas and server.min_replicas == 0:
        yield (
            "min-replicas-to-write is 0: a primary that is cut off from its replicas goes on "
            "taking jobs, which are lost when one of them is promoted; set min-replicas-to-write 1 "
            "and min-replicas-max-lag 3"
        )


def _waits_for_too_many(server: ServerFacts) -> Iterator[str]:
    wanted, there = server.wait_replicas, len(server.replicas)
    if server.info and wanted > there and not server.refused_wait:
        yield (
            f"ENQUEUE_WAIT_REPLICAS is {wanted}, and the server has {there} "
            f"replica{'' if there == 1 else 's'}: no enqueue is confirmed"
        )
    elif 0 < wanted < there and wanted * 2 <= there:
        yield (
            f"ENQUEUE_WAIT_REPLICAS is {wanted} of {there} replicas: one that has not confirmed a "
            f"job may be promoted, and the job is lost then; set it to {there}"
        )


def _replicas_lag(server: ServerFacts) -> Iterator[str]:
    for each in server.replicas:
        if not each.online:
            yield f"replica {each.place} is not in step: it is being filled"
        elif each.lag_seconds > LAGGING_SECONDS:
            yield f"replica {each.place} was last heard {each.lag_seconds} s ago"


def _is_nearly_full_of_clients(server: ServerFacts) -> Iterator[str]:
    most, there = server.number("maxclients"), server.number("connected_clients")
    processes = server.settings.worker_count
    wanted = processes * (CONNECTIONS_OF_A_PROCESS + CONNECTIONS_OF_PUSHES)
    if most is not None and there is not None and there + wanted > most:
        yield (
            f"maxclients is {most:,}, and {there:,} clients are connected: this worker opens up to "
            f"{wanted:,} connections ({processes:,} x {CONNECTIONS_OF_A_PROCESS}, and "
            f"{CONNECTIONS_OF_PUSHES} each where jobs enqueue); raise it"
        )


def _has_another_time(server: ServerFacts) -> Iterator[str]:
    apart = server.clock_ahead_seconds
    if abs(apart) >= CLOCKS_APART_SECONDS:
        yield (
            f"the server's clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} "
            "that of this machine: delayed jobs and schedules go by the server's; let NTP set both"
        )


def _sentinels_are_away(server: ServerFacts) -> Iterator[str]:
    for each in server.sentinels:
        if not each.primary:
            yield f"Sentinel {each.place}: {each.error}"
    if len(server.sentinels) in (1, 2):
        yield (
            f"the URL names {len(server.sentinels)} Sentinel"
            f"{'' if len(server.sentinels) == 1 else 's'}: name all of them, and run three or more"
        )


def _sentinels_differ(server: ServerFacts) -> Iterator[str]:
    named = {each.primary for each in server.sentinels if each.primary}
    if len(named) > 1:
        views = ", ".join(f"{x.place} names {x.primary}" for x in server.sentinels if x.primary)
        yield (
            f"the Sentinels do not agree on the primary: {views}; if that lasts, one of them is "
            "cut off, or its state is of an earlier set-up (SENTINEL RESET)"
        )


def _cluster_is_ill(server: ServerFacts) -> Iterator[str]:
    cluster = server.cluster
    if cluster is None:
        return
    for place in cluster.down:
        yield f"node {place} of the Cluster is down"
    if cluster.moving:
        yield (
            f"slot {cluster.slot} is being moved {cluster.moving} key by key: until that ends "
            "no job is enqueued or started; if nobody moves it, end it by CLUSTER SETSLOT"
        )
    if server.full_coverage and cluster.primaries > 1:
        yield (
            "cluster-require-full-coverage is yes: the death of a node that has none of our keys "
            "stops gresque, too; set it to no"
        )


def _has_no_successor(server: ServerFacts) -> Iterator[str]:
    if (server.sentinels or server.cluster) and server.info and not server.replicas:
        yield "the primary has no replica that could take its place"


def _runs_beside_a_scheduler(server: ServerFacts) -> Iterator[str]:
    if server.schedulers:
        named = " and ".join(
            f"{printable(holder)}, by {printable(lock)}"
            for lock, holder in server.schedulers.items()
        )
        yield (
            "the delayed jobs of Ruby, Node and PHP programs are left to another scheduler "
            f"({named}): stop that, and gresque moves them, too"
        )


ERRORS = (
    _is_too_old, _is_a_replica, _runs_no_scripts, _takes_few_arguments, _refuses_wait,
)  # fmt: skip
WARNINGS = (
    _does_not_track, _evicts, _keeps_nothing, _takes_jobs_alone, _waits_for_too_many,
    _replicas_lag, _has_no_successor, _is_nearly_full_of_clients, _has_another_time,
    _sentinels_are_away, _sentinels_differ, _cluster_is_ill, _runs_beside_a_scheduler,
)  # fmt: skip


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
