"""How the texts of settings are read: numbers, names, URLs. Each raises SettingsError, in one line
that says what to give instead."""

from __future__ import annotations

import re
from collections.abc import Callable

from gresque.connection.urls import check
from gresque.errors import SettingsError
from gresque.queue_list import QueueList
from gresque.shards import entries_in, entry_of
from gresque.text import is_utf8, to_os

REDIS_FAILURE_BACKENDS = ("redis", "redis_multi_queue")
"""Backends that keep entries, to be read and retried. Any other gets a report of each failure."""

_CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise SettingsError(f"{text!r} is not a whole number; give {minimum} or more") from None
        if number < minimum:
            raise SettingsError(f"{number} is too small; give {minimum} or more")
        if number > maximum:
            raise SettingsError(f"{text} is too large; give {maximum:,} or less")
        return number

    return parse


def seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise SettingsError(f"{text!r} is not a number of seconds; give 0 or more")
    return seconds


def one_line(text: str) -> str:
    if not text.isprintable():
        raise SettingsError(f"{text!r} has characters that cannot be printed")
    return text


def switch(text: str) -> bool:
    """`1`, `true`, `yes`, `on` and their opposites. Raises SettingsError."""
    lowered = text.strip().lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("", "0", "false", "no", "off"):
        return False
    raise SettingsError(f"{text!r} is neither on nor off; give 1 or 0")


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise SettingsError(f"{text!r} is unknown; choose one of {', '.join(choices)}")
        return text

    return parse


def namespace(text: str) -> str:
    if not text:
        raise SettingsError("the namespace is empty; give one such as 'resque'")
    if not is_utf8(text):
        raise SettingsError(f"the namespace {text!r} is not UTF-8")
    return text


def failure_backend(text: str) -> str:
    """One backend that keeps the entries, first, and any number of the user's own classes."""
    names = list(dict.fromkeys(modules(text)))
    kept = [name for name in names if name in REDIS_FAILURE_BACKENDS]
    own = [name for name in names if name not in REDIS_FAILURE_BACKENDS]
    for name in own:
        if not _CLASS.fullmatch(name):
            raise SettingsError(
                f"{name!r} is unknown; choose one of {', '.join(REDIS_FAILURE_BACKENDS)}, and "
                "beside it a class of your own by module.Class, such as redis,myapp.failures.Sentry"
            )
    if not kept:
        raise SettingsError(
            f"{text!r} keeps no entries that could be read and retried; "
            f"give {','.join(['redis', *own])}"
        )
    if len(kept) > 1:
        raise SettingsError(
            "redis and redis_multi_queue would keep every failure twice, and a retry would mark "
            "one of the two; choose one"
        )
    return ",".join(kept + own)


def redis_url(text: str) -> str:
    return to_os(check(text)) if text.startswith(("unix:", "embedded:")) else check(text)


def redis_urls(text: str) -> tuple[str, ...]:
    urls = []
    for item in entries_in(text):
        entry = entry_of(item)
        if len(item.split()) > 1 and not entry.url.startswith(("unix:", "embedded:")):
            raise SettingsError(f"{entry.masked()!r} has a blank in it; put URLs between blanks")
        urls.append(str(entry._replace(url=redis_url(entry.url))))
    return tuple(urls)


def pinned(text: str) -> QueueList:
    queues = QueueList.parse(text)
    if queues.caps:
        raise SettingsError(f"{text!r}: a pinned queue has no cap; give names and globs alone")
    return queues


def modules(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def required(text: str) -> tuple[str, ...]:
    """Modules by their names. A file has none by itself: its name, and with it the names of its
    jobs, depends on the directory from which it is imported."""
    names = modules(text)
    for name in names:
        if "/" in name or ":" in name or name.startswith(".") or name.endswith("."):
            raise SettingsError(f"{name!r} is not the name of a module; {_module_meant(name)}")
    return names


def _module_meant(name: str) -> str:
    path = name.partition(":")[0].removesuffix(".py")
    if not path.strip("./~"):
        return "write one such as myapp.jobs"
    if path.startswith(("/", "~", "..")) or "/../" in path:
        module = path.rstrip("/").rpartition("/")[2]
        return f"write {module!r} instead, in the directory from which Python imports it"
    module = ".".join(part for part in path.split("/") if part not in ("", ".")).strip(".")
    return f"write {module!r} instead"
