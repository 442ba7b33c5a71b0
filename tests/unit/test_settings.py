"""Settings: flag over ENV over default, and one clear line for each bad value."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gresque.errors import SettingsError
from gresque.queue_list import QueueList, Weights
from gresque.settings import OPTIONS, Settings, Systemd

LONG_FLAGS = {
    "queues": "--queues",
    "weights": "--weights",
    "require": "--require",
    "schedule": "--schedule",
    "schedule_env": "--schedule-env",
    "worker_count": "--workers",
    "thread_count": "--threads",
    "jobs_per_fork": "--jobs-per-fork",
    "interval": "--interval",
    "redis_url": "--redis",
    "redis_urls": "--redis",
    "namespace": "--namespace",
    "shards": "--shards",
    "spread": "--spread",
    "pinned_queues": "--pinned-queues",
    "serve_shards": "--serve-shards",
    "term_timeout": "--term-timeout",
    "graceful_term": "--graceful-term",
    "on_dirty_exit": "--on-dirty-exit",
    "max_recoveries": "--max-recoveries",
    "enqueue_wait_replicas": "--enqueue-wait-replicas",
    "retries": "--retries",
    "unknown_job_grace_seconds": "--unknown-job-grace-seconds",
    "failure_backend": "--failure-backend",
    "failed_max_entries": "--failed-max-entries",
    "failed_max_age_seconds": "--failed-max-age-seconds",
    "result_max_bytes": "--result-max-bytes",
    "max_rss_mb": "--max-rss-mb",
    "preload": "--preload",
    "metrics": "--metrics",
    "hub_blocked_seconds": "--hub-blocked-seconds",
    "pidfile": "--pidfile",
    "background": "--daemon",
    "procline_prefix": "--procline-prefix",
    "verbose": "--verbose",
    "vverbose": "--very-verbose",
    "log_format": "--log-format",
    "filter_args": "--filter-args",
}

# setting, ENV, default, (text, value) of the flag, (text, value) of the ENV
TABLE: list[tuple[str, str, Any, tuple[Any, Any], tuple[str, Any]]] = [
    ("queues", "QUEUES", None, ("a,b", QueueList(("a", "b"))), ("c", QueueList(("c",)))),
    ("queues", "QUEUE", None, ("a", QueueList(("a",))), ("c", QueueList(("c",)))),
    ("weights", "WEIGHTS", None, ("a=5", Weights((("a", 5),))), ("b=2", Weights((("b", 2),)))),
    ("require", "REQUIRE", (), (("a", "b,c"), ("a", "b", "c")), (" d , e,", ("d", "e"))),
    ("schedule", "SCHEDULE", "", ("cron.yml", "cron.yml"), ("/etc/cron.yml", "/etc/cron.yml")),
    ("schedule_env", "SCHEDULE_ENV", "", ("production", "production"), ("test", "test")),
    ("schedule_env", "RAILS_ENV", "", ("production", "production"), ("test", "test")),
    ("worker_count", "WORKER_COUNT", 1, ("3", 3), ("4", 4)),
    ("thread_count", "THREAD_COUNT", 1, ("1000", 1000), ("2", 2)),
    ("jobs_per_fork", "JOBS_PER_FORK", 1, ("100000", 100000), (" 7 ", 7)),
    ("interval", "INTERVAL", 5.0, ("0", 0.0), ("0.25", 0.25)),
    (
        "redis_url", "REDIS_URL", "redis://localhost:6379/0",
        ("unix:///run/r.sock", "unix:///run/r.sock"), ("rediss://h:1/2", "rediss://h:1/2"),
    ),
    ("redis_url", "REDIS_URL", "redis://localhost:6379/0",
     ("embedded://", "embedded://"), ("embedded:///some/dir", "embedded:///some/dir")),
    ("redis_urls", "REDIS_URLS", (),
     ("redis://h/0 redis://h/1", ("redis://h/0", "redis://h/1")),
     (" drain:a=redis://h \t b=redis://i", ("drain:a=redis://h", "b=redis://i"))),
    ("namespace", "RESQUE_NAMESPACE", "resque", ("app", "app"), ("a:b", "a:b")),
    ("shards", "SHARDS", 1, ("1", 1), ("1", 1)),
    ("spread", "SPREAD", "job", ("queue", "queue"), ("queue", "queue")),
    ("pinned_queues", "PINNED_QUEUES", None,
     ("a,b-*", QueueList(("a", "b-*"))), ("c", QueueList(("c",)))),
    ("serve_shards", "SERVE_SHARDS", (), (("0",), ("0",)), (" 0, 0-0", ("0", "0-0"))),
    ("term_timeout", "RESQUE_TERM_TIMEOUT", 30.0, ("1.5", 1.5), ("0", 0.0)),
    ("graceful_term", "GRACEFUL_TERM", False, (True, True), ("1", True)),
    ("on_dirty_exit", "ON_DIRTY_EXIT", "requeue", ("fail", "fail"), ("fail", "fail")),
    ("max_recoveries", "MAX_RECOVERIES", 3, ("0", 0), ("7", 7)),
    ("enqueue_wait_replicas", "ENQUEUE_WAIT_REPLICAS", 0, ("2", 2), ("100", 100)),
    ("retries", "RETRIES", 0, ("5", 5), ("0", 0)),
    ("unknown_job_grace_seconds", "UNKNOWN_JOB_GRACE_SECONDS", 300.0, ("0", 0.0), ("9.5", 9.5)),
    (
        "failure_backend", "FAILURE_BACKEND", "redis",
        ("redis_multi_queue", "redis_multi_queue"), (" a.b.C, redis,a.b.C", "redis,a.b.C"),
    ),
    ("failed_max_entries", "FAILED_MAX_ENTRIES", None, ("0", 0), ("1000", 1000)),
    ("failed_max_age_seconds", "FAILED_MAX_AGE_SECONDS", None, ("60", 60), ("1", 1)),
    ("result_max_bytes", "RESULT_MAX_BYTES", 1 << 20, ("1", 1), ("8388608", 8 << 20)),
    ("max_rss_mb", "MAX_RSS_MB", None, ("512", 512), ("1", 1)),
    ("preload", "PRELOAD", True, (False, False), ("0", False)),
    ("metrics", "METRICS", True, (False, False), ("0", False)),
    ("hub_blocked_seconds", "HUB_BLOCKED_SECONDS", 1.0, ("0.5", 0.5), ("0", 0.0)),
    ("pidfile", "PIDFILE", "", ("/run/a.pid", "/run/a.pid"), ("b.pid", "b.pid")),
    ("background", "BACKGROUND", False, (True, True), ("yes", True)),
    ("procline_prefix", "RESQUE_PROCLINE_PREFIX", "", ("app: ", "app: "), ("b", "b")),
    ("verbose", "VERBOSE", False, (True, True), ("yes", True)),
    ("vverbose", "VVERBOSE", False, (True, True), ("true", True)),
    ("log_format", "LOG_FORMAT", "text", ("json", "json"), ("json", "json")),
    ("filter_args", "FILTER_ARGS", (), ("a, b", ("a", "b")), ("c", ("c",))),
]  # fmt: skip

Row = tuple[str, str, Any, tuple[Any, Any], tuple[str, Any]]


def table(check: Callable[[Row], None]) -> Callable[[], None]:
    """One test for all rows."""

    def test() -> None:
        for row in TABLE:
            check(row)

    return test


def test_the_table_here_is_whole() -> None:
    assert set(OPTIONS) == set(LONG_FLAGS) == {row[0] for row in TABLE}
    assert {env for option in OPTIONS.values() for env in option.envs} == {row[1] for row in TABLE}


@table
def test_the_default(row: Row) -> None:
    name, _, default, _, _ = row
    settings = Settings.load({}, {})
    assert getattr(settings, name) == default
    assert settings.sources[name] == "default"


@table
def test_env_over_default(row: Row) -> None:
    name, env, _, _, (text, value) = row
    settings = Settings.load({name: None}, {env: text})
    assert getattr(settings, name) == value
    assert type(getattr(settings, name)) is type(value)
    assert settings.sources[name] == env


@table
def test_flag_over_env(row: Row) -> None:
    name, env, _, (text, value), (env_text, _) = row
    settings = Settings.load({name: text}, {env: env_text})
    assert getattr(settings, name) == value
    assert type(getattr(settings, name)) is type(value)
    assert settings.sources[name] == LONG_FLAGS[name]


@table
def test_flag_over_a_bad_env(row: Row) -> None:
    name, env, _, (text, value), _ = row
    assert getattr(Settings.load({name: text}, {env: "\0 bad"}), name) == value


@table
def test_an_empty_env_is_none(row: Row) -> None:
    name, env, default, _, _ = row
    settings = Settings.load({}, {env: ""})
    assert getattr(settings, name) == default
    assert settings.sources[name] == "default"


def test_queues_leads_queue_and_an_empty_one_does_not() -> None:
    both = Settings.load({}, {"QUEUES": "a", "QUEUE": "b"})
    assert (str(both.queues), both.sources["queues"]) == ("a", "QUEUES")
    one = Settings.load({}, {"QUEUES": "", "QUEUE": "b"})
    assert (str(one.queues), one.sources["queues"]) == ("b", "QUEUE")


def test_no_repeated_flag_is_not_given() -> None:
    assert Settings.load({"require": ()}, {"REQUIRE": "a"}).require == ("a",)


NUMBERS = ["x", "1.5", "1e3", "-1", "0", " ", "0x10", "1 2", "∞", "--1", "9" * 5000]
SECONDS = ["x", "-1", "-0.001", "nan", "inf", "-inf", "1e400", "1e9", " ", "1s"]
SWITCHES = ["x", "2", "-1", "yess", "o n", "none"]
BAD: dict[str, list[str]] = {
    "queues": [" ", ",", "!a", "!a,!b", "mail:0", "mail:-5", "mail:101%", "!a:5,b"],
    "weights": [" ", ",", "a", "a=0", "a=-1", "a=x", "a=1,a=2", "a:5=1", "!a=1"],
    "worker_count": NUMBERS,
    "thread_count": NUMBERS,
    "jobs_per_fork": NUMBERS,
    "interval": SECONDS,
    "term_timeout": SECONDS,
    "hub_blocked_seconds": SECONDS,
    "redis_url": [
        " ", "localhost", "localhost:6379", "http://h", "redis:/h", "REDIS://h", "unix:/run/x",
        "sentinel://a,b", "redis+sentinel://a", "rediss+sentinel://a", "redis+cluster://a",
        "cluster://a", "://", "embedded:",
    ],
    "redis_urls": [
        "x", "redis://h x", "=redis://h", "1=redis://h", "a b=redis://h", "-a=redis://h",
        "redis://h redis://h:6379/0", "a=redis://h/1 a=redis://h/2", "drain:redis://h",
        "drain:a=redis://h drain:b=redis://i",
    ],
    "shards": [*NUMBERS, "1001", "2"],
    "spread": ["x", "JOB", "queues", " job"],
    "pinned_queues": [" ", ",", "!a", "a:5", "a,b:50%"],
    "serve_shards": ["1", "0-1", "2-1", "a", "-"],
    "enqueue_wait_replicas": ["-1", "101", "all"],
    "result_max_bytes": [*NUMBERS, "8388609", "1MB"],
    "max_recoveries": ["-1", "x", "1.5", "9999999"],
    "on_dirty_exit": ["x", "REQUEUE", "Fail", " fail", "drop"],
    "log_format": ["x", "JSON", "yaml"],
    "graceful_term": SWITCHES,
    "preload": SWITCHES,
    "metrics": SWITCHES,
    "background": SWITCHES,
    "max_rss_mb": NUMBERS,
    "procline_prefix": ["a\nb", "\x1b[2J", "\0"],
    "verbose": SWITCHES,
    "vverbose": SWITCHES,
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_names_its_flag_or_its_env(name: str) -> None:
    for text in BAD[name]:
        with pytest.raises(SettingsError, match=f"^{LONG_FLAGS[name]}: "):
            Settings.load({name: text}, {})
        for env in OPTIONS[name].envs:
            with pytest.raises(SettingsError, match=f"^{env}: ") as caught:
                Settings.load({}, {env: text})
            assert "\n" not in str(caught.value)
            assert caught.value.__suppress_context__, "one line, not a chain of tracebacks"


@pytest.mark.parametrize("name", ["queues", "worker_count", "interval", "redis_url", "namespace"])
def test_an_empty_flag_is_an_error(name: str) -> None:
    """Whoever writes `--workers "$N"` with N unset must hear of it."""
    with pytest.raises(SettingsError, match=f"^{LONG_FLAGS[name]}: "):
        Settings.load({name: ""}, {OPTIONS[name].envs[0]: "7"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, True) for text in ("1", "true", "TRUE", "yes", "on", " On ")),
        *((text, False) for text in ("0", "false", "no", "off", "OFF", " ")),
    ],
)
def test_switches(text: str, value: bool) -> None:
    assert Settings.load({}, {"PRELOAD": text}).preload is value
    assert Settings.load({}, {"GRACEFUL_TERM": text}).graceful_term is value


@pytest.mark.parametrize(
    ("interval", "burst"), [("0", True), ("0.0", True), ("-0", True), ("0.1", False), ("5", False)]
)
def test_interval_0_is_a_burst(interval: str, burst: bool) -> None:
    assert Settings.load({"interval": interval}, {}).burst is burst


def test_settings_are_frozen_and_equal_whatever_their_source() -> None:
    by_flag = Settings.load({"worker_count": "2"}, {})
    by_env = Settings.load({}, {"WORKER_COUNT": "2"})
    assert by_flag == by_env
    assert by_flag.sources != by_env.sources
    with pytest.raises(dataclasses.FrozenInstanceError):
        by_flag.worker_count = 3  # type: ignore[misc]


@pytest.mark.parametrize("source", ["flag", "env"])
def test_weights_are_of_queues_that_are_worked(source: str) -> None:
    flags, environ = ({"weights": "c=5"}, {}) if source == "flag" else ({}, {"WEIGHTS": "c=5"})
    name = "--weights" if source == "flag" else "WEIGHTS"
    with pytest.raises(SettingsError, match=f"^{name}: c=5: the queues to work, a,b, have no 'c'"):
        Settings.load(flags | {"queues": "a,b"}, environ)
    assert Settings.load(flags | {"queues": "a,c"}, environ).weights == Weights((("c", 5),))
    assert Settings.load(flags, environ).queues is None, "a command that works no queues"


def test_every_setting_has_a_source() -> None:
    assert set(Settings.load({}, {}).sources) == set(OPTIONS)


def test_an_unrelated_environment_changes_nothing() -> None:
    assert Settings.load({}, {"PATH": "/bin", "queues": "x", "WORKERS": "3"}) == Settings()


def test_what_systemd_tells() -> None:
    told = Settings.load({}, {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "2500000"}).systemd
    assert told == Systemd("/run/n", 2.5)
    assert Settings.load({}, {"NOTIFY_SOCKET": "@n"}).systemd == Systemd("@n", 0.0)
    assert Settings.load({}, {}).systemd == Systemd()


def test_the_watchdog_of_somebody_else_is_not_ours() -> None:
    mine, another = str(os.getpid()), str(os.getppid())
    environ = {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1000000"}
    assert Settings.load({}, {**environ, "WATCHDOG_PID": mine}).systemd.watchdog_seconds == 1
    assert Settings.load({}, {**environ, "WATCHDOG_PID": another}).systemd.watchdog_seconds == 0


@pytest.mark.parametrize(
    ("env", "text"),
    [("NOTIFY_SOCKET", "vsock:2:1"), ("NOTIFY_SOCKET", "n"), ("WATCHDOG_USEC", "1.5")],
)
def test_what_systemd_would_not_tell(env: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{env}: "):
        Settings.load({}, {env: text})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("./jobs.py", "'jobs'"),
        ("app/jobs.py", "'app.jobs'"),
        ("app/jobs", "'app.jobs'"),
        ("/srv/app/jobs.py", "'jobs' instead, in the directory"),
        ("../jobs.py", "'jobs' instead, in the directory"),
        ("jobs:send", "'jobs'"),
        (".jobs", "'jobs'"),
        ("ok,app/jobs/", "'app.jobs'"),
    ],
)
def test_a_file_is_no_module(text: str, meant: str) -> None:
    with pytest.raises(
        SettingsError, match=f"^REQUIRE: .* not the name of a module; write {meant}"
    ):
        Settings.load({}, {"REQUIRE": text})


@pytest.mark.parametrize("name", [".", "./", "..", "../", "/"])
def test_a_directory_is_no_module(name: str) -> None:
    with pytest.raises(SettingsError, match=r"write one such as myapp\.jobs$"):
        Settings.load({"require": (name,)}, {})


def test_an_environment_that_the_locale_cannot_read() -> None:
    text = "ü☃".encode().decode("ascii", "surrogateescape")
    settings = Settings.load({}, {"QUEUES": text, "RESQUE_NAMESPACE": text})
    assert (str(settings.queues), settings.namespace) == ("ü☃", "ü☃")


ENVS = [env for option in OPTIONS.values() for env in option.envs]


@given(st.dictionaries(st.sampled_from(ENVS), st.text(max_size=30)))
def test_any_environment_loads_or_raises_a_settings_error(environ: dict[str, str]) -> None:
    try:
        settings = Settings.load({}, environ)
    except SettingsError as error:
        assert str(error).split(":")[0] in environ
    else:
        assert settings.worker_count >= 1
        assert settings.interval >= 0


@pytest.mark.parametrize("name", OPTIONS)
@given(text=st.text(max_size=40) | st.from_regex(r"[-+]?[0-9_.eE]{1,12}|[a-z]+://\S*"))
def test_any_text_parses_or_raises_a_settings_error(name: str, text: str) -> None:
    given_text: Any = (text,) if OPTIONS[name].repeatable else text
    try:
        Settings.load({name: given_text}, {})
    except SettingsError as error:
        assert str(error).startswith(LONG_FLAGS[name])
