"""What is wrong with the Redis server, by its own numbers."""

from __future__ import annotations

from collections.abc import Iterator

from gresque.inspector.findings.finding import Finding, Level
from gresque.inspector.findings.view import View
from gresque.store.refusals import explain_wrong_type
from gresque.text import printable, shell

FULL = 0.9
NEARLY = 0.75
_MB = 1024 * 1024


def server(view: View) -> Iterator[Finding]:
    """A server that is full, throws keys away, cannot save or takes no writes, or on which another
    program uses a key of the policies."""
    info = view.look.server
    if info.get("role") == "slave":
        yield Finding(
            Level.BROKEN,
            "replica",
            "Redis is a replica: it takes no writes, and what it shows may be old; give the URL of "
            "the primary",
        )
    yield from _in_the_way(view)
    yield from _memory(view)
    if info.get("rdb_last_bgsave_status") == "err":
        yield Finding(
            Level.BROKEN,
            "unsaved",
            "Redis could not save its data (rdb_last_bgsave_status:err): it may refuse writes, and "
            "a restart loses jobs; see its log, and the space on its disk",
            ("redis-cli info persistence",),
        )
    if info.get("aof_last_write_status") == "err":
        yield Finding(
            Level.BROKEN,
            "unsaved",
            "Redis could not write its append-only file: it refuses writes; see the space on its "
            "disk",
            ("redis-cli info persistence",),
        )


def _in_the_way(view: View) -> Iterator[Finding]:
    keys, flow = view.store.keys, view.look.flow
    policies = flow.policies.values()
    wrong = {
        keys.policies: "no queue is paused or limited",
        keys.pause_all: "no pause of all queues holds",
    }
    if any(policy.cap is not None for policy in policies):
        wrong[keys.inflight] = "no worker takes a job of a queue with a cap"
    if any(policy.rate is not None for policy in policies):
        wrong[keys.rates] = "no worker takes a job of a queue with a rate"
    for key in flow.in_the_way:
        if key in wrong:
            yield Finding(
                Level.BROKEN,
                "key",
                f"{wrong[key]}: {explain_wrong_type(keys, key)}",
                (shell("redis-cli", "rename", printable(key), printable(key) + ".foreign"),),
                {"key": key},
            )


def _memory(view: View) -> Iterator[Finding]:
    info = view.look.server
    used, most = int(info.get("used_memory") or 0), int(info.get("maxmemory") or 0)
    policy = str(info.get("maxmemory_policy") or "")
    if not most:
        return
    share = used / most
    details = {"used": used, "maxmemory": most, "policy": policy}
    is_safe = policy in ("", "noeviction") or policy.startswith("volatile")
    if share >= NEARLY:
        then = "it then refuses jobs" if is_safe else f"it then throws jobs away ({policy})"
        yield Finding(
            Level.BROKEN if share >= FULL else Level.WARNING,
            "memory",
            f"Redis has taken {share:.0%} of its {most // _MB:,} MB: {then}",
            ("redis-cli info memory",),
            details,
        )
    elif not is_safe:
        yield Finding(
            Level.WARNING,
            "eviction",
            f"Redis throws queues and jobs away when it is full (maxmemory-policy {policy})",
            ("redis-cli config set maxmemory-policy noeviction",),
            details,
        )
