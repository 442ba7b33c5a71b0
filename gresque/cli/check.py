"""`gresque check`."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.blocking import REMEDIES, blocking_libraries
from gresque.cli.hints import hints
from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import Output, complain, json_option, pairs, table
from gresque.connection.urls import mask
from gresque.errors import GresqueError, SettingsError
from gresque.queues import quoted
from gresque.settings import OPTIONS, Settings
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.connection.tracked import TrackedConnection

OLDEST_REDIS = (6, 2)
SPARE_DESCRIPTORS = 100
"""Descriptors of a worker process beside one socket for each thread, rounded up."""


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
    _check_limits(settings, report)
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
    if name == "queues":
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
    if not settings.require:
        report.warnings.append("no module is required, so no jobs are known: give -r or REQUIRE")
        return
    from gresque.jobs.registry import registry
    from gresque.worker.boot import load

    threads_before = _count_threads()
    try:
        with redirect_stdout(sys.stderr):  # a module may print; that is not part of the report
            load(settings)
    except GresqueError as error:
        report.errors.append(str(error))
    jobs = sorted(registry, key=lambda job: job.name)
    report.jobs = [{"name": job.name, "queue": job.queue} for job in jobs]
    _warn_of_unserved(settings, report)
    job_modules = {*settings.require, *(job.function.__module__ for job in jobs)}
    _warn_of_blocking(job_modules, report)
    resolver = os.environ.get("GEVENT_RESOLVER")
    report.hints += hints(job_modules, settings.thread_count, resolver)
    if settings.preload and _count_threads() > threads_before:
        report.warnings.append(
            "importing the modules of -r starts native threads, which do not live on in the worker "
            "processes: start them in a gresque.after_fork hook, or work with --no-preload"
        )


def _count_threads() -> int:
    import psutil

    return int(psutil.Process().num_threads())


def _warn_of_unserved(settings: Settings, report: Report) -> None:
    if settings.queues is None:
        return
    for job in report.jobs:
        queue = job["queue"]
        if queue is not None and queue not in settings.queues.resolve([queue]):
            report.warnings.append(
                f"job {job['name']} goes to queue {queue!r}, which {settings.queues} does not serve"
                + (f"; with -q it is written {quoted(queue)}" if quoted(queue) != queue else "")
            )


def _warn_of_blocking(job_modules: set[str], report: Report) -> None:
    for library in blocking_libraries(job_modules):
        report.warnings.append(
            f"{library} waits in C and so blocks every job of its process: {REMEDIES[library]}"
        )


def _check_redis(settings: Settings, report: Report) -> None:
    from redis.exceptions import RedisError

    from gresque.connection.errors import explain
    from gresque.connection.topology import topology_of
    from gresque.connection.tracked import TrackedConnection

    report.redis |= {"place": topology_of(settings.redis_url).place(), "answers": False}
    try:
        with closing(TrackedConnection(settings.redis_url)) as connection:
            connection.connect()
            _inspect(connection, settings, report)
    except SettingsError:
        raise
    except (RedisError, GresqueError, OSError) as error:
        report.errors.append(explain(settings.redis_url, error))


def _inspect(connection: TrackedConnection, settings: Settings, report: Report) -> None:
    connection.call(b"PING")
    report.redis["answers"] = True
    found = _read_info(connection)
    version = found.get("valkey_version") or found.get("redis_version")
    name = found.get("server_name") or "redis"
    report.redis["version"] = f"{name} {version}" if version else "unknown"
    report.redis["client_tracking"] = connection.tracking
    if not connection.tracking:
        report.warnings.append(
            "the server refuses CLIENT TRACKING: idle workers find new jobs by polling, every "
            f"{settings.interval:g} s"
        )
    if _numbers(found.get("redis_version", "")) < OLDEST_REDIS and version:
        report.errors.append(f"Redis {version} is too old; gresque needs 6.2 or later")
    if found.get("role") == "slave":
        report.errors.append(f"{report.redis['place']} is a replica: give the URL of the primary")
    policy = _eviction_policy(connection) or found.get("maxmemory_policy")
    report.redis["maxmemory_policy"] = policy or "unknown: CONFIG GET is refused"
    if policy and policy.startswith("allkeys"):
        report.warnings.append(
            f"maxmemory-policy is {policy}: a full Redis throws queues and jobs away; "
            "set it to noeviction"
        )


def _read_info(connection: TrackedConnection) -> dict[str, str]:
    """INFO's fields; none where it is refused."""
    from redis.exceptions import ResponseError

    try:
        text = connection.call(b"INFO").decode("utf-8", "replace")
    except ResponseError:
        return {}
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _eviction_policy(connection: TrackedConnection) -> str | None:
    from redis.exceptions import ResponseError

    try:
        reply = connection.call(b"CONFIG", b"GET", b"maxmemory-policy")
    except ResponseError:
        return None
    # RESP3 answers with a map, RESP2 with a list.
    values = list(reply.values() if isinstance(reply, dict) else reply[1:])
    return values[0].decode() if values else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())


def _check_limits(settings: Settings, report: Report) -> None:
    needed = settings.thread_count + SPARE_DESCRIPTORS
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit not in (-1, resource.RLIM_INFINITY) and limit < needed:
        report.warnings.append(
            f"{settings.thread_count:,} threads with a socket each are over the limit of "
            f"{limit:,} open files; raise it: ulimit -n {max(needed, 65_536)}"
        )
