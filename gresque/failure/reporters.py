"""Failure backends of the application: the failure that they get, and finding them by name."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gresque.errors import BootError, JobDeclarationError
from gresque.jobs import payload
from gresque.jobs.result import check_function
from gresque.raised import one_line


@dataclass(frozen=True)
class Failure:
    """A job that failed, as a failure backend of the application gets it.

    `raw` is its queue item, byte for byte. `error` is the text of `exception`, `backtrace` its
    frames as they stand in the entry, the innermost first. For a job that was killed, or whose
    process died, `exception` is a DirtyExit.
    """

    queue: str
    worker: str
    raw: bytes
    exception: BaseException
    exception_name: str
    error: str
    backtrace: Sequence[str]
    failed_at: float
    """Epoch seconds."""

    @property
    def payload(self) -> dict[str, Any]:
        """The queue item: class, args, id and so on; `{"raw": text}` when it is no JSON object.
        Reports go elsewhere: arguments such as passwords are not in it (see `filter_args`)."""
        return payload.loads(self.raw)


class FailureBackend(ABC):
    """Base of a failure backend of the application, which gets every failure.

        class Sentry(gresque.FailureBackend):
            def save(self, failure):
                sentry_sdk.capture_exception(failure.exception)

    Named by `--failure-backend redis,myapp.failures.Sentry`. Each worker process makes one, without
    arguments, after its fork, and calls `save` from up to ten greenlets at once. The entry in Redis
    is written in any case: what `save` raises is logged, and a call that hangs is left behind.
    """

    @abstractmethod
    def save(self, failure: Failure) -> None:
        """Record a failed job."""


def reporter_names(setting: str) -> tuple[str, ...]:
    """The classes that the setting names; the backend that keeps the entries comes before them."""
    return tuple(setting.split(",")[1:])


def load_reporters(names: Sequence[str]) -> list[type[FailureBackend]]:
    """Import the classes with these names. Raises BootError."""
    return [_load(name) for name in names]


def make_reporters(names: Sequence[str]) -> list[FailureBackend]:
    """Import these classes and make one of each. Raises BootError."""
    return [
        _make(name, backend) for name, backend in zip(names, load_reporters(names), strict=True)
    ]


def _load(name: str) -> type[FailureBackend]:
    module, _, attribute = name.rpartition(".")
    try:
        found: Any = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise BootError(_cannot("import", name, error)) from error
    if not isinstance(found, type) or not issubclass(found, FailureBackend):
        raise BootError(
            f"the failure backend {name} (--failure-backend) is no subclass of "
            "gresque.FailureBackend"
        )
    try:
        check_function(f"save of the failure backend {name} (--failure-backend)", found.save)
    except JobDeclarationError as error:
        raise BootError(str(error)) from None
    return found


def _make(name: str, backend: type[FailureBackend]) -> FailureBackend:
    try:
        return backend()
    except (Exception, SystemExit) as error:
        raise BootError(_cannot("make", name, error)) from error


def _cannot(verb: str, name: str, error: BaseException) -> str:
    return f"cannot {verb} the failure backend {name} (--failure-backend): {one_line(error)}"
