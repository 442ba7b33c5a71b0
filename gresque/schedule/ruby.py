"""The configuration of a resque-scheduler entry, as in its YAML file and in `persistent_schedules`.
Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gresque.errors import ScheduleError
from gresque.schedule.entry import Entry, check
from gresque.schedule.every import Every
from gresque.schedule.line import CronLine

FIELDS = {
    "cron", "every", "class", "queue", "args", "description", "rails_env", "env", "persist",
    "parameters", "custom_job_class",
}  # fmt: skip
OWN_FIELDS = {"tz", "catch_up", "max_late_seconds", "jitter_seconds", "overlap", "enabled"}
"""gresque's, which resque-scheduler passes over."""

FindQueue = Callable[[str], str | None]
"""The queue that a job declares; None for one that is not declared here."""


def read_entry(name: str, config: object, find_queue: FindQueue, source: str, app: str) -> Entry:
    """The entry for one configuration. Raises ScheduleError."""
    if not isinstance(config, Mapping):
        raise ScheduleError("it is no mapping; write its cron line, class and queue below its name")
    if config.get("custom_job_class"):
        raise ScheduleError(
            "custom_job_class calls code of a Ruby scheduler; name the job with class instead"
        )
    cron, every = _interval(config.get("cron")), _interval(config.get("every"))
    if (cron is None) == (every is None):
        raise ScheduleError("give either cron or every")
    job = config.get("class", name)
    if not isinstance(job, str) or not job:
        raise ScheduleError(f"class {job!r} is not the name of a job")
    queue = config.get("queue") or find_queue(job)
    if not isinstance(queue, str):
        raise ScheduleError(
            f"it has no queue, and job {job} is not declared here with one; write queue: <name>"
        )
    own = {field: config[field] for field in OWN_FIELDS - {"tz"} if field in config}
    _check_own(own)
    tz = config.get("tz")
    if tz and cron is None:
        raise ScheduleError("an interval has no zone; leave out tz")
    line = None if cron is None else CronLine(cron, tz)
    return check(
        Entry(
            name=name,
            cron=None if line is None else line.line,
            every=None if line is not None else Every(every).seconds,
            tz="UTC" if line is None else line.tz,
            job=job,
            queue=queue,
            args=_arguments(config.get("args")),
            description=str(config.get("description") or ""),
            source=source,
            app=app,
            **own,
        )
    )


def is_meant_for(config: object, env: str) -> bool:
    """Whether an entry is for this environment, as its rails_env or env says."""
    if not isinstance(config, Mapping):
        return True
    named = config.get("rails_env") or config.get("env")
    if not named:
        return True
    names = named if isinstance(named, list) else str(named).replace(",", " ").split()
    return env in map(str, names)


def first_in(config: object) -> bool:
    """Whether the interval has an option such as first_in, which has no effect here."""
    if not isinstance(config, Mapping):
        return False
    return any(
        isinstance(config.get(kind), list) and len(config[kind]) > 1 for kind in ("cron", "every")
    )


def _interval(value: Any) -> Any:
    """Ruby writes `30s`, or `[30s, {first_in: 5s}]`."""
    return value[0] if isinstance(value, list) and value else value


def _arguments(args: Any) -> list[Any]:
    """As Ruby passes them: a list as it is, anything else as the one argument."""
    if args is None:
        return []
    return args if isinstance(args, list) else [args]


_KINDS: dict[str, tuple[type, ...]] = {
    "catch_up": (str,),
    "enabled": (bool,),
    "jitter_seconds": (int, float),
    "max_late_seconds": (int, float, type(None)),
    "overlap": (str,),
}


def _check_own(own: Mapping[str, Any]) -> None:
    for field, value in own.items():
        kinds = _KINDS[field]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ScheduleError(f"{field}: {value!r} is wrong; see docs/time.md for what it takes")
