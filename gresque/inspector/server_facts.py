"""What a server says of itself, for `gresque check`. A managed service may refuse to say some of
it: that is None then."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from gresque.connection.survey import ClusterFacts, SentinelAnswer, ask_sentinels, cluster_facts
from gresque.connection.urls import Endpoint, endpoint
from gresque.settings import Settings

if TYPE_CHECKING:
    from gresque.connection.tracked import TrackedConnection

MOST_ARGUMENTS = 3_900
"""KEYS and ARGV of the largest call of a worker."""
HEAR_SECONDS = 1.0
TRIAL_MS = 5_000


@dataclass(frozen=True)
class Replica:
    """As its primary sees it. `lag_bytes` have not reached it yet; `lag_seconds` ago it was last
    heard."""

    place: str
    online: bool
    lag_bytes: int
    lag_seconds: int


@dataclass
class ServerFacts:
    """What there is to be judged by `server_checks`."""

    settings: Settings
    tracking: bool
    """It announces changes of keys that were read."""
    info: dict[str, str]
    """The fields of INFO; none where it is refused."""
    resp3: bool = True
    refused_script: str = ""
    """Why it runs no scripts; empty when it does."""
    tracking_in_scripts: bool | None = None
    """It announces changes of keys that were read by a script."""
    refused_arguments: str = ""
    """Why it takes no call with MOST_ARGUMENTS."""
    policy: str | None = None
    """`maxmemory-policy`."""
    min_replicas: int | None = None
    """`min-replicas-to-write`."""
    full_coverage: bool | None = None
    """`cluster-require-full-coverage`."""
    clock_ahead_seconds: float = 0.0
    wait_replicas: int = 0
    """How many replicas have to confirm an enqueue."""
    refused_wait: str = ""
    """Why it does not allow WAIT; asked only where that is to be used."""
    schedulers: dict[str, str] = field(default_factory=dict)
    """Locks that schedulers of other programs hold -> their holders."""
    sentinels: tuple[SentinelAnswer, ...] = ()
    cluster: ClusterFacts | None = None

    @property
    def version(self) -> str:
        version = self.info.get("valkey_version") or self.info.get("redis_version")
        return f"{self.info.get('server_name') or 'redis'} {version}" if version else "unknown"

    @property
    def append_only(self) -> bool | None:
        found = self.info.get("aof_enabled")
        return None if found is None else found == "1"

    @property
    def replicas(self) -> list[Replica]:
        sent = self.number("master_repl_offset") or 0
        found = []
        for number in range(self.number("connected_slaves") or 0):
            line = self.info.get(f"slave{number}", "")
            named = dict(part.split("=", 1) for part in line.split(",") if "=" in part)
            if "ip" in named:
                behind = max(0, sent - int(named.get("offset", sent)))
                place = f"{named['ip']}:{named.get('port', '')}"
                online = named.get("state") == "online"
                found.append(Replica(place, online, behind, int(named.get("lag", 0))))
        return found

    def number(self, name: str) -> int | None:
        """A field of INFO; None where it is none."""
        text = self.info.get(name, "")
        return int(text) if text.isdecimal() else None

    @classmethod
    def read(cls, connection: TrackedConnection, settings: Settings) -> ServerFacts:
        """Ask the server behind this connection, which was just opened. Raises redis-py's errors
        where it does not answer."""
        facts = cls(settings, connection.tracking, _info(connection))
        facts.policy = _config(connection, "maxmemory-policy") or facts.info.get("maxmemory_policy")
        facts.min_replicas = _whole(_config(connection, "min-replicas-to-write"))
        facts.resp3 = _speaks_resp3(connection)
        facts.refused_script = _refusal(connection, b"EVAL", b"return 1", 0)
        if not facts.refused_script:
            most = [b""] * MOST_ARGUMENTS
            facts.refused_arguments = _refusal(connection, b"EVAL", b"return 1", 0, *most)
        facts.clock_ahead_seconds = _clock_ahead(connection)
        facts.wait_replicas = settings.enqueue_wait_replicas
        if facts.wait_replicas:
            facts.refused_wait = _refusal(connection, b"WAIT", 0, 1)
        facts.schedulers = _schedulers(settings)
        at = endpoint(settings.redis_url)
        if at.kind == "sentinel":
            facts.sentinels = _ask_sentinels(settings, at)
        if at.kind == "cluster" or facts.info.get("cluster_enabled") == "1":
            facts.cluster = _cluster(connection, settings)
            facts.full_coverage = _switch(_config(connection, "cluster-require-full-coverage"))
        if (
            facts.tracking
            and not facts.refused_script
            and not (
                facts.cluster
                and facts.cluster.moving  # then a key that is not there cannot be read
            )
        ):
            facts.tracking_in_scripts = _tracks_in_scripts(connection, settings)
        return facts

    def rows(self) -> dict[str, Any]:
        """What is shown, by name, the same as text and as JSON."""
        known: dict[str, Any] = {
            "version": self.version,
            "client_tracking": self.tracking,
            "maxmemory_policy": self.policy or "unknown: CONFIG GET is refused",
            "append_only": self.append_only,
            "replicas": [asdict(replica) for replica in self.replicas] if self.info else None,
        }
        if self.replicas:
            known["min_replicas_to_write"] = self.min_replicas
        if self.sentinels:
            known["sentinels"] = [asdict(each) for each in self.sentinels]
        if self.cluster is not None:
            known["cluster"] = {**asdict(self.cluster), "full_coverage": self.full_coverage}
        return known


def _info(connection: TrackedConnection) -> dict[str, str]:
    from redis.exceptions import ResponseError

    try:
        text = connection.call(b"INFO").decode("utf-8", "replace")
    except ResponseError:
        return {}
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _config(connection: TrackedConnection, name: str) -> str | None:
    from redis.exceptions import ResponseError

    try:
        reply = connection.call(b"CONFIG", b"GET", name.encode())
    except ResponseError:
        return None
    # RESP3 answers with a map, RESP2 with a list.
    values = list(reply.values() if isinstance(reply, dict) else reply[1:])
    return values[0].decode() if values else None


def _ask_sentinels(settings: Settings, at: Endpoint) -> tuple[SentinelAnswer, ...]:
    from gresque.connection.opening import Opener

    return ask_sentinels(Opener(settings.redis_url, settings.namespace).dialler(), at)


def _cluster(connection: TrackedConnection, settings: Settings) -> ClusterFacts | None:
    from redis.crc import key_slot
    from redis.exceptions import ResponseError

    from gresque.store.keys import Keys

    try:
        nodes = connection.call(b"CLUSTER", b"NODES").decode()
    except ResponseError:
        return None
    return cluster_facts(nodes, key_slot(Keys(settings.namespace).queues.encode()))


def _switch(text: str | None) -> bool | None:
    return None if text is None else text == "yes"


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _speaks_resp3(connection: TrackedConnection) -> bool:
    """A connection by RESP2 answers with a list; so does no server that knows no HELLO."""
    from redis.exceptions import ResponseError

    try:
        return isinstance(connection.call(b"HELLO"), dict)
    except ResponseError:
        return connection.tracking


def _refusal(connection: TrackedConnection, *command: Any) -> str:
    """What the server says to a command that it refuses."""
    from redis.exceptions import ResponseError

    from gresque.connection.errors import means_not_here

    try:
        connection.call(*command)
    except ResponseError as error:
        if means_not_here(error):
            raise
        return str(error)
    return ""


def _tracks_in_scripts(connection: TrackedConnection, settings: Settings) -> bool | None:
    """Whether a key that a script has read is announced when another connection writes it; None
    where it may not be written."""
    from redis.exceptions import ResponseError

    from gresque.store.store import Store

    with closing(Store(settings.redis_url, settings.namespace)) as store:
        key = store.keys.wake(f"check {time.time_ns()}")
        read = b"return redis.call('EXISTS', KEYS[1])"
        if _refusal(connection, b"EVAL", read, 1, key.encode()):
            return None
        try:
            store.redis.set(key, b"", px=TRIAL_MS)
        except ResponseError:
            return None
        return connection.wait(HEAR_SECONDS)


def _clock_ahead(connection: TrackedConnection) -> float:
    """By how many seconds the server's clock is ahead of ours."""
    from redis.exceptions import ResponseError

    before = time.time()
    try:
        seconds, microseconds = connection.call(b"TIME")
    except ResponseError:
        return 0.0
    return float(int(seconds) + int(microseconds) / 1_000_000 - (before + time.time()) / 2)


def _schedulers(settings: Settings) -> dict[str, str]:
    from redis.exceptions import ResponseError

    from gresque.inspector.schedulers import other_schedulers
    from gresque.store.store import Store

    with closing(Store(settings.redis_url, settings.namespace)) as store:
        try:
            return other_schedulers(store)
        except ResponseError:  # no right to look
            return {}
