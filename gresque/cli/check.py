"""`gresque check`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import click

from gresque.cli import server_checks
from gresque.cli.hints import hints
from gresque.cli.neighbours import ruby_workers_here
from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import Output, complain, json_option, pairs, table
from gresque.cli.server_checks import shown_fact
from gresque.connection.urls import endpoint, mask
from gresque.errors import GresqueError, SettingsError
from gresque.inspector.server_facts import ServerFacts
from gresque.settings import OPTIONS, Settings
from gresque.shards import entry_of
from gresque.text import printable, shell


@dataclass
class Report:
    """The findings. An error makes the exit code 1, a warning does not."""

    settings: list[dict[str, Any]]
    redis: dict[str, Any] = field(default_factory=dict)
    shards: list[dict[str, Any]] = field(default_factory=list)
    """With several shards what `redis` has of one, each with its name; `redis` is empty then."""
    jobs: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    """Things that work differently in a worker; nothing need be wrong."""
    errors: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        shown = {"ok": not self.errors, **vars(self)}
        del shown["redis" if self.shards else "shards"]
        return shown

    def lines(self) -> Iterator[str]:
        yield "settings"
        rows = [(row["name"], _shown(row["value"]), row["source"]) for row in self.settings]
        yield from _indented(table(rows, indent=2))
        for facts in self.shards or [self.redis]:
            yield f"redis of shard {facts['name']}" if self.shards else "redis"
            yield from _indented(pairs(_redis_rows(facts)))
        yield "jobs"
        yield from _indented(self._job_lines())
        yield from (f"warning: {printable(warning)}" for warning in self.warnings)
        yield from (f"hint: {printable(hint)}" for hint in self.hints)
        if not self.errors and not self.warnings:
            yield "all is well"

    def _job_lines(self) -> Iterator[str]:
        if not self.jobs:
            return iter(["none"])
        return table([(job["name"], job["queue"]) for job in self.jobs], indent=2)


def _redis_rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        if name != "name":
            yield name.replace("_", " "), shown_fact(name, value)


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
    _check_shards(settings, report)
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


def _check_shards(settings: Settings, report: Report) -> None:
    """Each shard by itself, and whether two of them are one place."""
    shards = settings.all_shards()
    if len(shards) == 1:
        report.redis, _ = _check_redis(settings, report)
        return
    places: dict[Any, str] = {}
    for shard in shards:
        found = Report([])
        facts, place = _check_redis(settings.of_shard(shard), found)
        report.shards.append({"name": shard.name, "drains": shard.drains, **facts})
        report.warnings += (f"shard {shard.name}: {warning}" for warning in found.warnings)
        report.errors += (f"shard {shard.name}: {error}" for error in found.errors)
        other = places.setdefault(place, shard.name) if place else shard.name
        if other != shard.name:
            report.errors.append(
                f"shards {other} and {shard.name} are the same server, database and namespace: "
                "give one of them another URL, or leave it out"
            )


def _check_redis(settings: Settings, report: Report) -> tuple[dict[str, Any], Any]:
    """What is shown of one server, and what no other place has; None where that is not known."""
    from redis.exceptions import RedisError

    from gresque.connection.errors import explain
    from gresque.connection.tracked import TrackedConnection

    at = endpoint(settings.redis_url)
    facts: dict[str, Any] = {"place": at.place, "answers": False}
    place = None
    try:
        with closing(TrackedConnection(settings.redis_url, settings.namespace)) as connection:
            connection.connect()
            connection.call(b"PING")
            facts["answers"] = True
            server = ServerFacts.read(connection, settings)
        facts |= server.rows()
        if run := server.info.get("run_id"):
            place = run, at.db, settings.namespace
        report.errors += server_checks.errors(server)
        report.warnings += server_checks.warnings(server)
        report.warnings += _entries_in_redis(settings)
        report.warnings += _policies_in_redis(settings)
        report.warnings += ruby_workers_here(settings)
    except SettingsError:
        raise
    except (RedisError, GresqueError, OSError) as error:
        report.errors.append(explain(settings.redis_url, error))
    return facts, place


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
