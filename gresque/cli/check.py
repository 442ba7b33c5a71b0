"""`gresque check`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.hints import hints
from gresque.cli.neighbours import ruby_workers_here
from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import Output, complain, json_option, pairs, table
from gresque.connection.urls import endpoint, mask
from gresque.errors import GresqueError, SettingsError
from gresque.settings import OPTIONS, Settings
from gresque.shards import entry_of
from gresque.text import printable, shell

if TYPE_CHECKING:
    from gresque.connection.tracked import TrackedConnection

OLDEST_REDIS = (6, 2)


@dataclass
class Report:
    """The findings. An error makes the exit code 1, a warning does not."""

    settings: list[dict[str, Any]]
    redis: dict[str, Any] = field(default_factory=dict)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    """Things that work differently in a worker; nothing need be wrong."""
    errors: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {"ok": not self.errors, **vars(self)}

    def lines(self) -> Iterator[str]:
        yield "settings"
        rows = [(row["name"], _shown(row["value"]), row["source"]) for row in self.settings]
        yield from _indented(table(rows, indent=2))
        yield "redis"
        yield from _indented(pairs(self._redis_rows()))
        yield "jobs"
        yield from _indented(self._job_lines())
        yield from (f"warning: {printable(warning)}" for warning in self.warnings)
        yield from (f"hint: {printable(hint)}" for hint in self.hints)
        if not self.errors and not self.warnings:
            yield "all is well"

    def _redis_rows(self) -> Iterator[tuple[str, str]]:
        for name, value in self.redis.items():
            shown = ("no", "yes")[value] if isinstance(value, bool) else value
            yield name.replace("_", " "), shown

    def _job_lines(self) -> Iterator[str]:
        if not self.jobs:
            return iter(["none"])
        return table([(job["name"], job["queue"]) for job in self.jobs], indent=2)


@click.command(name="check")
@setting_options()
@json_option
def command(flags: dict[str, Any], as_json: bool) -> int:
    """Print every setting with its source, and warn about likely problems of `gresque work`.

    Takes the flags of `gresque work`. It connects to Redis, imports the modules of -r as a
    worker would, lists the jobs that they declare, and warns about libraries that block a worker
    process. Exit code: 0 when a worker can start, 1 when Redis cannot be reached or a module cannot
    be imported, 2 when a setting is wrong.

    \b
    Examples:
      gresque check
      gresque check -q mail -r myapp.jobs --redis redis://db:6379/3
      gresque check -r myapp.jobs --json | jq .warnings
    """
    settings = load_settings(flags)
    report = Report(_settings(settings))
    # Before anything imports redis-py: this patches, as in a worker.
    _check_modules(settings, report)
    _check_redis(settings, report)
    Output(as_json).document(report.as_dict(), report.lines)
    if not as_json:
        for error in report.errors:
            complain(f"error: {error}")
    return 1 if report.errors else 0


def _settings(settings: Settings) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "value": _plain(name, getattr(settings, name)),
            "source": settings.sources[name],
        }
        for name in OPTIONS
    ]


def _plain(name: str, value: Any) -> Any:
    if name == "redis_url":
        return mask(value)
    if name == "redis_urls":
        return [entry_of(entry).masked() for entry in value]
    if name in ("queues", "weights", "pinned_queues"):
        return None if value is None else str(value)
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ",".join(value) or "-"
    if isinstance(value, float):
        return f"{value:g}"
    return "-" if value is None or value == "" else str(value)


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _check_modules(settings: Settings, report: Report) -> None:
    if settings.queues is None:
        report.warnings.append("no queues are named, which gresque work needs: give -q or QUEUES")
    if settings.require:
        _load_modules(settings, report)
    else:
        report.warnings.append("no module is required, so no jobs are known: give -r or REQUIRE")
    from gresque.worker.preflight import Loaded, warnings

    loaded = Loaded.now(settings)
    report.jobs = [{"name": job.name, "queue": job.queue} for job in loaded.jobs]
    report.warnings += warnings(loaded)
    resolver = os.environ.get("GEVENT_RESOLVER")
    report.hints += hints(loaded.modules, settings.thread_count, resolver)


def _load_modules(settings: Settings, report: Report) -> None:
    from gresque.worker.boot import load

    threads_before = _count_threads()
    try:
        with redirect_stdout(sys.stderr):  # a module may print; that is not part of the report
            load(settings)
    except GresqueError as error:
        report.errors.append(str(error))
    if settings.preload and _count_threads() > threads_before:
        report.warnings.append(
            "importing the modules of -r starts native threads, which do not live on in the worker "
            "processes: start them in a gresque.after_fork hook, or work with --no-preload"
        )


def _count_threads() -> int:
    import psutil

    return int(psutil.Process().num_threads())


def _check_redis(settings: Settings, report: Report) -> None:
    from redis.exceptions import RedisError

    from gresque.connection.errors import explain
    from gresque.connection.tracked import TrackedConnection

    report.redis |= {"place": endpoint(settings.redis_url).place, "answers": False}
    try:
        with closing(TrackedConnection(settings.redis_url, settings.namespace)) as connection:
            connection.connect()
            _inspect(connection, settings, report)
        report.warnings += _entries_in_redis(settings)
        report.warnings += _policies_in_redis(settings)
        report.warnings += ruby_workers_here(settings)
    except SettingsError:
        raise
    except (RedisError, GresqueError, OSError) as error:
        report.errors.append(explain(settings.redis_url, error))


def _entries_in_redis(settings: Settings) -> Iterator[str]:
    """Entries of the schedule that cannot run, or whose job is to run here and is not declared;
    beside those of the code and the schedule file."""
    from gresque.client.client import Client
    from gresque.jobs.registry import registry
    from gresque.schedule.declared import declared

    known, queues = {entry.name for entry in declared}, settings.queues
    with closing(Client(settings.redis_url, settings.namespace)) as client:
        entries = client.schedules.list()
    for entry in entries:
        if entry.error:
            yield f"schedule entry {entry.name} cannot run: {entry.error}"
        elif (
            entry.name not in known
            and len(registry)
            and registry.find(entry.job) is None
            and queues is not None
            and entry.queue in queues.resolve([entry.queue])
        ):
            yield f"schedule entry {entry.name}: {registry.explain_unknown(entry.job)}"


def _policies_in_redis(settings: Settings) -> Iterator[str]:
    """Paused queues that the worker is to serve, and words of policies that this version cannot
    read."""
    from gresque.inspector.flow import Flow
    from gresque.store.store import Store

    with closing(Store(settings.redis_url, settings.namespace)) as store:
        flow = Flow.read(store)
    if flow.all_paused:
        yield (
            "all queues are paused, by the key pause-all-workers: no job starts until "
            "gresque unpause --all"
        )
    queues = settings.queues
    for each in flow.queues:
        if each.unread:
            yield (
                f"the policy of queue {each.queue} has {' '.join(each.unread)!r}, which this "
                "version cannot read and ignores; gresque limit replaces a cap or a rate"
            )
        if each.paused and queues is not None and each.queue in queues.resolve([each.queue]):
            yield (
                f"queue {each.queue} is paused: none of its jobs starts until "
                f"{shell('gresque', 'unpause', each.queue)}"
            )


def _inspect(connection: TrackedConnection, settings: Settings, report: Report) -> None:
    connection.call(b"PING")
    report.redis["answers"] = True
    server = ServerFacts(settings, connection.tracking, _read_info(connection))
    report.redis["version"] = server.version
    report.redis["client_tracking"] = server.tracking
    server.policy = _eviction_policy(connection) or server.info.get("maxmemory_policy")
    report.redis["maxmemory_policy"] = server.policy or "unknown: CONFIG GET is refused"
    server.schedulers = _schedulers(settings)
    report.errors += [found for check in SERVER_ERRORS if (found := check(server))]
    report.warnings += [found for check in SERVER_WARNINGS if (found := check(server))]


def _read_info(connection: TrackedConnection) -> dict[str, str]:
    """INFO's fields; none where it is refused."""
    from redis.exceptions import ResponseError

    try:
        text = connection.call(b"INFO").decode("utf-8", "replace")
    except ResponseError:
        return {}
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _schedulers(settings: Settings) -> dict[str, str]:
    from redis.exceptions import ResponseError

    from gresque.inspector.schedulers import other_schedulers
    from gresque.store.store import Store

    with closing(Store(settings.redis_url, settings.namespace)) as store:
        try:
            return other_schedulers(store)
        except ResponseError:  # no right to look
            return {}


def _eviction_policy(connection: TrackedConnection) -> str | None:
    from redis.exceptions import ResponseError

    try:
        reply = connection.call(b"CONFIG", b"GET", b"maxmemory-policy")
    except ResponseError:
        return None
    # RESP3 answers with a map, RESP2 with a list.
    values = list(reply.values() if isinstance(reply, dict) else reply[1:])
    return values[0].decode() if values else None


@dataclass
class ServerFacts:
    """What the server says of itself."""

    settings: Settings
    tracking: bool
    info: dict[str, str]
    """The fields of INFO."""
    policy: str | None = None
    """`maxmemory-policy`; None where it is not known."""
    schedulers: dict[str, str] = field(default_factory=dict)
    """Locks that schedulers of other programs hold -> their holders."""

    @property
    def version(self) -> str:
        version = self.info.get("valkey_version") or self.info.get("redis_version")
        return f"{self.info.get('server_name') or 'redis'} {version}" if version else "unknown"


def _is_too_old(server: ServerFacts) -> str | None:
    version = server.info.get("redis_version")
    if not version or _numbers(version) >= OLDEST_REDIS:
        return None
    return f"Redis {version} is too old; gresque needs 6.2 or later"


def _is_a_replica(server: ServerFacts) -> str | None:
    if server.info.get("role") != "slave":
        return None
    place = endpoint(server.settings.redis_url).place
    return f"{place} is a replica: give the URL of the primary"


def _does_not_track(server: ServerFacts) -> str | None:
    if server.tracking:
        return None
    return (
        "the server refuses CLIENT TRACKING: idle workers find new jobs by polling, every "
        f"{server.settings.interval:g} s"
    )


def _evicts(server: ServerFacts) -> str | None:
    if not server.policy or not server.policy.startswith("allkeys"):
        return None
    return (
        f"maxmemory-policy is {server.policy}: a full Redis throws queues and jobs away; "
        "set it to noeviction"
    )


def _runs_beside_a_scheduler(server: ServerFacts) -> str | None:
    if not server.schedulers:
        return None
    named = " and ".join(
        f"{printable(holder)}, by {printable(lock)}" for lock, holder in server.schedulers.items()
    )
    return (
        f"the delayed jobs of Ruby, Node and PHP programs are left to another scheduler ({named}): "
        "stop that, and gresque moves them, too"
    )


SERVER_ERRORS = (_is_too_old, _is_a_replica)
SERVER_WARNINGS = (_does_not_track, _evicts, _runs_beside_a_scheduler)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
