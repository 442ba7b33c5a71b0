"""Every setting of gresque in one table: read once and then frozen.

A flag overrides the environment, which overrides the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import gresque.setting_values as values
from gresque.connection.urls import EXAMPLE, check_namespace
from gresque.errors import SettingsError
from gresque.queue_list import QueueList, Weights
from gresque.shards import Placement, Shard, chosen, entries_in, entry_of, is_named, shards_of
from gresque.text import from_os, to_os

DEFAULT_REDIS_URL = EXAMPLE
DEFAULT_RETRY_SECONDS = 2.0
"""How long an enqueue is tried again when Redis fails; an argument of `Client`."""
MOST_WAIT_REPLICAS = 100
"""Far above the replicas that a server has: a slip of the pen is refused."""

DEFAULT_NAMESPACE = "resque"
RESULT_MAX_BYTES = 1 << 20
DEFAULT_FAILURE_BACKEND = "redis"


class Option(NamedTuple):
    """How one setting is given: its ENV names (the first one leads), flags, default and parser."""

    envs: tuple[str, ...]
    flags: tuple[str, ...]
    default: Any
    parse: Callable[[str], Any]
    help: str
    is_flag: bool = False
    repeatable: bool = False


def one_list_each(failure_backend: str) -> bool:
    """True when each queue has a failed list of its own, by the setting of that name."""
    return failure_backend.split(",")[0] == "redis_multi_queue"


def _option(
    envs: str,
    flags: str,
    default: Any,
    parse: Callable[[str], Any],
    help_text: str,
    *,
    is_flag: bool = False,
    repeatable: bool = False,
    secret: bool = False,
) -> Any:
    option = Option(
        tuple(envs.split()), tuple(flags.split()), default, parse, help_text, is_flag, repeatable
    )
    return field(default=default, repr=not secret, metadata={"option": option})


@dataclass(frozen=True)
class Systemd:
    """The variables that systemd, or a supervisor that works like it, sets for a service."""

    ENVS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
    """Meant for the master alone: a process that it starts would report in its name."""

    notify_socket: str = ""
    """Where to report the state: a path, or @ and an abstract name; empty: nowhere."""
    watchdog_seconds: float = 0.0
    """systemd kills a service that is silent for this long; 0: there is no watchdog."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Systemd:
        """Raises SettingsError."""
        address = environ.get("NOTIFY_SOCKET", "")
        if address and address[0] not in "/@":
            raise SettingsError(
                f"NOTIFY_SOCKET: {address!r} is neither a path nor an abstract socket (@name)"
            )
        microseconds = environ.get("WATCHDOG_USEC", "")
        if microseconds and not microseconds.isdecimal():
            raise SettingsError(f"WATCHDOG_USEC: {microseconds!r} is not a number of microseconds")
        if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            microseconds = ""  # the watchdog watches another process
        return cls(address, int(microseconds or 0) / 1e6)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of `gresque work`. `Settings.load` builds them; constructors pass them on.

    Times are seconds. `sources` has the source of each value: its flag, its ENV, or "default".
    """

    queues: QueueList | None = _option(
        "QUEUES QUEUE",
        "-q --queues",
        None,
        QueueList.parse,
        "queues in strict priority; globs (mail-*), exclusions (!slow), caps (mail:5, mail:50%)",
    )
    weights: Weights | None = _option(
        "WEIGHTS", "--weights", None, Weights.parse,
        "draw the order of the queues by weight, for each turn: critical=5,low=1",
    )  # fmt: skip
    require: tuple[str, ...] = _option(
        "REQUIRE", "-r --require", (), values.required, "module that declares jobs; repeatable",
        repeatable=True,
    )  # fmt: skip
    schedule: str = _option(
        "SCHEDULE",
        "--schedule",
        "",
        to_os,
        "file of jobs that are enqueued again and again, in resque-scheduler's format (cron.yml)",
    )
    schedule_env: str = _option(
        "SCHEDULE_ENV RAILS_ENV",
        "--schedule-env",
        "",
        values.one_line,
        "the environment for which entries of a schedule file count that name one (rails_env)",
    )
    worker_count: int = _option(
        "WORKER_COUNT", "-w --workers", 1, values.whole_number(1, 10_000),
        "worker processes",
    )  # fmt: skip
    thread_count: int = _option(
        "THREAD_COUNT",
        "-t --threads",
        1,
        values.whole_number(1, 1_000_000),
        "greenlets in each worker process: jobs that run at once",
    )
    jobs_per_fork: int = _option(
        "JOBS_PER_FORK", "-j --jobs-per-fork", 1, values.whole_number(1, 10**15),
        "jobs after which a worker process is replaced",
    )  # fmt: skip
    interval: float = _option(
        "INTERVAL", "--interval", 5.0, values.seconds,
        "seconds between fallback polls; 0: exit when the queues are empty",
    )  # fmt: skip
    redis_url: str = _option(
        "REDIS_URL",
        "--redis",
        DEFAULT_REDIS_URL,
        values.redis_url,
        "redis://, rediss://, unix://, embedded://[dir], redis+sentinel:// or redis+cluster://; "
        "given twice or more: a shard each",
        repeatable=True,
        secret=True,
    )
    redis_urls: tuple[str, ...] = _option(
        "REDIS_URLS", "", (), values.redis_urls,
        "URLs between blanks, each a shard: [drain:][name=]URL", secret=True,
    )  # fmt: skip
    namespace: str = _option(
        "RESQUE_NAMESPACE", "--namespace", DEFAULT_NAMESPACE, values.namespace,
        "prefix of every key",
    )  # fmt: skip
    shards: int = _option(
        "SHARDS", "--shards", 1, values.whole_number(1, 1000),
        "shards in one Cluster, each with a namespace of its own",
    )  # fmt: skip
    spread: str = _option(
        "SPREAD", "--spread", "job", values.one_of("job", "queue"),
        "how jobs are spread over the shards: each for itself, or by queue",
    )  # fmt: skip
    pinned_queues: QueueList | None = _option(
        "PINNED_QUEUES", "--pinned-queues", None, values.pinned,
        "queues, by names and globs, each of which lives on one shard though jobs are spread",
    )  # fmt: skip
    serve_shards: tuple[str, ...] = _option(
        "SERVE_SHARDS", "--serve-shards", (), values.modules,
        "work these shards alone, by numbers and names: 0-3,5",
    )  # fmt: skip
    term_timeout: float = _option(
        "RESQUE_TERM_TIMEOUT", "--term-timeout", 30.0, values.seconds,
        "seconds from TERM to SIGKILL of what is left",
    )  # fmt: skip
    graceful_term: bool = _option(
        "GRACEFUL_TERM",
        "--graceful-term",
        False,
        values.switch,
        "TERM acts as QUIT (containers)",
        is_flag=True,
    )
    on_dirty_exit: str = _option(
        "ON_DIRTY_EXIT",
        "--on-dirty-exit",
        "requeue",
        values.one_of("requeue", "fail"),
        "what becomes of jobs cut short: requeue or fail",
    )
    max_recoveries: int = _option(
        "MAX_RECOVERIES", "--max-recoveries", 3, values.whole_number(0, 10**6),
        "fail a job as PoisonJob after this many of its processes died; 0: never",
    )  # fmt: skip
    retries: int = _option(
        "RETRIES", "--retries", 0, values.whole_number(0, 10**6),
        "further attempts of jobs that fail and whose declaration says nothing about it",
    )  # fmt: skip
    unknown_job_grace_seconds: float = _option(
        "UNKNOWN_JOB_GRACE_SECONDS", "--unknown-job-grace-seconds", 300.0, values.seconds,
        "how long a job waits for its code when no module declares its name; 0: it fails at once",
    )  # fmt: skip
    enqueue_wait_replicas: int = _option(
        "ENQUEUE_WAIT_REPLICAS", "--enqueue-wait-replicas", 0,
        values.whole_number(0, MOST_WAIT_REPLICAS),
        "how many replicas must have a job before its enqueue returns; set it to their number",
    )  # fmt: skip
    failure_backend: str = _option(
        "FAILURE_BACKEND",
        "--failure-backend",
        DEFAULT_FAILURE_BACKEND,
        values.failure_backend,
        "where failures go: redis or redis_multi_queue, and module.Class of your own beside it",
    )
    failed_max_entries: int | None = _option(
        "FAILED_MAX_ENTRIES", "--failed-max-entries", None, values.whole_number(0, 10**12),
        "keep this many failed jobs in a list, and remove the oldest ones",
    )  # fmt: skip
    failed_max_age_seconds: int | None = _option(
        "FAILED_MAX_AGE_SECONDS", "--failed-max-age-seconds", None, values.whole_number(1, 10**12),
        "remove failed jobs that failed longer ago",
    )  # fmt: skip
    result_max_bytes: int = _option(
        "RESULT_MAX_BYTES", "--result-max-bytes", RESULT_MAX_BYTES, values.whole_number(1, 8 << 20),
        "the most that the result of a tracked job may have as JSON",
    )  # fmt: skip
    max_rss_mb: int | None = _option(
        "MAX_RSS_MB", "--max-rss-mb", None, values.whole_number(1, 10**9),
        "replace a worker process whose resident memory is above this (MB)",
    )  # fmt: skip
    preload: bool = _option(
        "PRELOAD",
        "--preload/--no-preload",
        True,
        values.switch,
        "load the job modules once, in the master",
        is_flag=True,
    )
    hub_blocked_seconds: float = _option(
        "HUB_BLOCKED_SECONDS",
        "--hub-blocked-seconds",
        1.0,
        values.seconds,
        "name in the log a job that keeps the others from running for this long; 0: never",
    )
    metrics: bool = _option(
        "METRICS",
        "--metrics/--no-metrics",
        True,
        values.switch,
        "count what is done and fails over time, for pages and charts",
        is_flag=True,
    )
    pidfile: str = _option(
        "PIDFILE", "--pidfile", "", to_os,
        "write the master's pid to this file",
    )  # fmt: skip
    background: bool = _option(
        "BACKGROUND",
        "--daemon",
        False,
        values.switch,
        "go into the background once the first worker process works",
        is_flag=True,
    )
    procline_prefix: str = _option(
        "RESQUE_PROCLINE_PREFIX",
        "--procline-prefix",
        "",
        values.one_line,
        "what the titles of the processes begin with, in ps",
    )
    verbose: bool = _option(
        "VERBOSE",
        "-v --verbose",
        False,
        values.switch,
        "log every job that ends",
        is_flag=True,
    )
    vverbose: bool = _option(
        "VVERBOSE",
        "-vv --very-verbose",
        False,
        values.switch,
        "log every turn, and what jobs log at level DEBUG",
        is_flag=True,
    )
    log_format: str = _option(
        "LOG_FORMAT",
        "--log-format",
        "text",
        values.one_of("text", "json"),
        "text or json",
    )
    filter_args: tuple[str, ...] = _option(
        "FILTER_ARGS", "--filter-args", (), values.modules,
        "names of arguments that are not shown, beside password, token and the like",
    )  # fmt: skip
    systemd: Systemd = field(default_factory=Systemd, compare=False)
    shard_name: str = field(default="", compare=False)
    """In the settings of one of several shards: its name."""
    of_all: Settings | None = field(default=None, compare=False, repr=False)
    """In the settings of one shard: those that they were made of."""
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def burst(self) -> bool:
        """Exit when the queues are empty."""
        return self.interval == 0

    def all_shards(self) -> tuple[Shard, ...]:
        """The shards by number; at least one."""
        return shards_of(self.redis_urls or (self.redis_url,), self.namespace, self.shards)

    def placement(self) -> Placement:
        """Which shard a new job goes to."""
        return Placement(self.all_shards(), self.spread, self.pinned_queues)

    def served_shards(self) -> tuple[Shard, ...]:
        """The shards that `gresque work` serves by these settings."""
        shards = self.all_shards()
        return chosen(shards, self.serve_shards) if self.serve_shards else shards

    def of_shard(self, shard: Shard) -> Settings:
        """These settings for one shard, as if there were no other."""
        several = len(self.redis_urls) > 1 or self.shards > 1
        return replace(
            self,
            redis_url=shard.url,
            namespace=shard.namespace,
            redis_urls=(),
            shards=1,
            serve_shards=(),
            shard_name=shard.name if several else "",
            of_all=self.whole,
        )

    @property
    def whole(self) -> Settings:
        """The settings with all shards, of which these may be for one."""
        return self.of_all or self

    def processes_each(self) -> int:
        """How many of the WORKER_COUNT processes serve each shard. Raises SettingsError."""
        count = len(self.served_shards())
        if self.worker_count % count:
            raise SettingsError(
                f"{self.sources.get('worker_count', 'WORKER_COUNT')}: {self.worker_count} "
                f"{'process' if self.worker_count == 1 else 'processes'} cannot serve {count} "
                f"shards alike, as each serves one; give a multiple of {count}, or let this host "
                "serve some of them, as with --serve-shards 0"
            )
        return self.worker_count // count

    @classmethod
    def load(cls, flags: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
        """Merge `flags` (setting name -> text, absent or None when not given) over `environ`.

        Raises SettingsError naming the flag or the ENV variable that is wrong.
        """
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        flags, environ = _one_or_many(flags, environ)
        for name, option in OPTIONS.items():
            source, text = _find(name, option, flags, environ)
            sources[name] = source
            if text is None:
                values[name] = option.default
                continue
            try:
                values[name] = text if isinstance(text, bool) else option.parse(text)
            except SettingsError as error:
                raise SettingsError(f"{source}: {error}") from None
        weights, queues = values["weights"], values["queues"]
        if weights is not None and queues is not None:
            try:
                weights.check(queues)
            except SettingsError as error:
                raise SettingsError(f"{sources['weights']}: {error}") from None
        if values["redis_urls"]:
            values["redis_url"] = entry_of(values["redis_urls"][0]).url
            sources["redis_url"] = sources["redis_urls"]
        settings = cls(**values, systemd=Systemd.read(environ), sources=sources)
        settings._check_namespaces()
        settings._check_shards()
        return settings

    def _check_namespaces(self) -> None:
        try:
            for url in self.redis_urls or (self.redis_url,):
                check_namespace(entry_of(url).url, self.namespace)
        except SettingsError as error:
            raise SettingsError(f"{self.sources['redis_url']}: {error}") from None

    def _check_shards(self) -> None:
        if not (self.redis_urls or self.shards > 1 or self.serve_shards):
            return
        source = "shards" if self.shards > 1 else "redis_urls"
        try:
            shards = self.all_shards()
            source = "serve_shards"
            chosen(shards, self.serve_shards)
        except SettingsError as error:
            raise SettingsError(f"{self.sources[source]}: {error}") from None


def _one_or_many(
    flags: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """Flags and environment that name the servers once: by `redis_url` when it is one URL, by
    `redis_urls` when there are more, or one that has a name. A flag overrides both variables."""
    given = flags.get("redis_url")
    texts = (given,) if isinstance(given, str) else given or ()
    if not texts and not flags.get("redis_urls"):
        if environ.get("REDIS_URL") and environ.get("REDIS_URLS"):
            raise SettingsError(
                "REDIS_URL: REDIS_URLS is set as well; keep one of them, as one URL in REDIS_URLS "
                "is the same as REDIS_URL"
            )
        return flags, environ
    left = {env: text for env, text in environ.items() if env not in ("REDIS_URL", "REDIS_URLS")}
    entries = [entry for text in texts for entry in entries_in(text)]
    if len(entries) > 1 or (entries and is_named(entries[0])):
        return {**flags, "redis_url": None, "redis_urls": " ".join(entries)}, left
    return {**flags, "redis_url": texts[0] if texts else None}, left


def _find(
    name: str, option: Option, flags: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[str, Any]:
    given = flags.get(name)
    if given is not None and given != ():
        flag = option.flags[-1].split("/")[0] if option.flags else "--redis"
        return flag, ",".join(given) if isinstance(given, tuple) else given
    for env in option.envs:
        if environ.get(env):
            return env, from_os(environ[env])
    return "default", None


OPTIONS: dict[str, Option] = {
    f.name: f.metadata["option"] for f in fields(Settings) if "option" in f.metadata
}
"""Setting name -> how it is given; the command line is made from it, and
docs/settings.md has a row for each."""
