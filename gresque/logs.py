"""Logging to stderr: a record a line, as text or as a JSON object.

A record may hold any text of a job, another program or an exception. No part of it can pass for
another record, do something to a terminal, or keep the rest from being written.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import gresque.stdio as stdio
from gresque.clock import log_time
from gresque.errors import JobKilled
from gresque.outlet import Outlet
from gresque.raised import MAX_ERROR_CHARS, backtrace, exception_name, one_line
from gresque.text import encodable, printable
from gresque.unpatched import original

UNCUT = {"uncut": True}
"""`extra` of a record that is meant to be long: `fields("stacks", **UNCUT)`."""

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", *UNCUT}
_INDENT = "\n    "
_SURROGATE = "\\ud"
"""So JSON in ASCII writes one, alone or as half of a pair, as of an emoji."""

JOB_FIELDS = ("job_id", "job", "queue", "attempt")

Fields = Mapping[str, object]

log = logging.getLogger("gresque.log")

_context: dict[str, object] = {}
"""Fields of every record of this process."""
_job: Callable[[], Fields | None] = lambda: None  # noqa: E731
_root: _RootHandler | None = None
_plain_last_resort = logging.lastResort


def fields(event: str, **named: object) -> dict[str, object]:
    """The `extra` of a record: what happened, and the data of the sentence under fixed names.

        log.error("job %s failed", name, extra=fields("job_failed", job=name, queue=queue))

    Every record of gresque has an event. Names used throughout are `job_id`, `job`, `queue`,
    `seconds` and `attempt`. `pid` and `worker` are those of the process that logs; `set_context`
    and the formatter add them. Of another process the names are `child_pid` and `process_id`. A
    field that is None is left out.
    """
    found = {name: value for name, value in named.items() if value is not None}
    found["event"] = event
    return found


def set_context(**named: object) -> None:
    """Add fields to every record of this process and of those that it forks from now on."""
    _context.update(named)


def add_job_fields(job: Callable[[], Fields | None]) -> None:
    """In a worker process: each record has the JOB_FIELDS of the job in which it is logged."""
    global _job
    _job = job


def _job_fields(record: logging.LogRecord) -> Fields:
    """A record may name its job itself: one of the job's `log`, or one of gresque, which says it in
    its sentence. An application may have a `job_id` of its own."""
    own = vars(record)
    if "job_id" in own:
        if _is_ours(record.name) and "event" in own:
            return {}
        if all(name in own for name in JOB_FIELDS):
            return {name: own[name] for name in JOB_FIELDS}
    try:
        return _job() or {}
    except Exception:  # a job with an odd payload
        return {}


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == "gresque"


class TextFormatter(logging.Formatter):
    """`2026-11-24T01:02:03.456Z INFO  gresque.master[123] sentence`.

    In a job `[myjobs.fetch 019ab0… from web, attempt 1]` stands before the sentence. Further lines
    of a record are indented; characters that cannot be printed are escaped.
    """

    def format(self, record: logging.LogRecord) -> str:
        text = (
            f"{log_time(record.created, record.msecs)} {record.levelname:<7} "
            f"{record.name}[{record.process}] {_in_brackets(_job_fields(record))}{_message(record)}"
        )
        for more in (_exception(record), record.stack_info, *_of_failure(record)):
            if more:
                text = f"{text}\n{more}"
        if text.isprintable():
            return text
        return _INDENT.join(map(printable, text.rstrip("\n").split("\n")))


def _in_brackets(job: Fields) -> str:
    if not job:
        return ""
    name, job_id, queue, attempt = (job.get(f) for f in ("job", "job_id", "queue", "attempt"))
    return f"[{name} {job_id or '-'} from {queue}, attempt {attempt}] "


def _of_failure(record: logging.LogRecord) -> Iterator[str]:
    """What the record of a failed job says below its sentence."""
    own = vars(record)
    if own.get("event") == "job_failed":
        if trace := own.get("traceback"):
            yield "\n".join(f"  {line}" for line in trace.split("\n"))
        yield own.get("show", "")


class JsonFormatter(logging.Formatter):
    """One object in ASCII: time, level, logger, pid, message, the fields of the process, those of
    the job and those given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        shown = {
            "time": log_time(record.created, record.msecs),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": _message(record),
            **_context,
            **{name: value for name, value in _job_fields(record).items() if value is not None},
        }
        own = vars(record)
        shown |= {k: v for k, v in own.items() if k not in _STANDARD and not _is_missing(k, v)}
        for name, text in (("exception", _exception(record)), ("stack", record.stack_info)):
            if text:
                shown[name] = text
        try:
            text = json.dumps(shown, default=_text, allow_nan=False)
        except JobKilled:
            raise
        except BaseException:
            text = _SURROGATE
        if _SURROGATE in text:
            return f"{{{', '.join(_member(name, value) for name, value in shown.items())}}}"
        return text


def _is_missing(name: str, value: object) -> bool:
    """A job of another program may have no id."""
    return value is None and name in JOB_FIELDS


def _member(name: object, value: object) -> str:
    """Of a record in which some field has no JSON: a ring, keys that are no texts, NaN."""
    try:
        return json.dumps({_pure(name): _pure(value)}, default=_text, allow_nan=False)[1:-1]
    except JobKilled:
        raise
    except BaseException:
        return json.dumps({_pure(_text(name)): _pure(_text(value))})[1:-1]


def _pure(value: Any) -> Any:
    """JSON has neither NaN nor infinity; readers of it refuse one half of a surrogate pair."""
    if isinstance(value, str):
        return encodable(value, "utf-8")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {_pure(key): _pure(each) for key, each in value.items()}
    return [*map(_pure, value)] if isinstance(value, list | tuple) else value


class RecordHandler(logging.StreamHandler[Any]):
    """Writes records to a stream of any encoding.

    A record is formatted before the lock is taken: that may call code of a job's, which may switch
    to another greenlet, and the loop monitor's thread must never wait for it. An Outlet needs no
    lock. The kill of the job may land in that code, and is not a fault of the record.
    """

    def handle(self, record: logging.LogRecord) -> Any:
        if not self.filter(record):
            return False
        try:
            text = self.format(record)
        except JobKilled:
            raise
        except BaseException as broken:
            where = f"{record.filename}:{record.lineno}"
            text = f"<a log record of {where} cannot be written: {exception_name(broken)}>"
        try:
            self._write(text + self.terminator)
        except Exception:
            self.handleError(record)
        return True

    def _write(self, text: str) -> None:
        encoding = getattr(self.stream, "encoding", None)
        outlet = getattr(self.stream, "buffer", None)
        if isinstance(outlet, Outlet):
            outlet.write(text.encode(encoding or "utf-8", "backslashreplace"))
            return
        with self.lock:  # type: ignore[union-attr]
            self.stream.write(encodable(text, encoding))
            self.flush()


class _RootHandler(RecordHandler):
    """The handler of the root logger while that has no other one: it yields to any handler that the
    application adds."""

    def handle(self, record: logging.LogRecord) -> Any:
        if any(other is not self for other in logging.root.handlers):
            return False
        return super().handle(record)


class _Level(int):
    """A level that gresque has set, and not the application."""


class _OwnLogger(logging.Logger):
    """`dictConfig`, which a job may call at any time, disables all loggers that it does not
    name."""

    @property
    def disabled(self) -> bool:
        return False

    @disabled.setter
    def disabled(self, value: bool) -> None:
        pass


def _message(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except JobKilled:
        raise
    except BaseException as broken:
        text = f"{_text(record.msg)} <its arguments cannot be shown: {exception_name(broken)}>"
    return text if getattr(record, "uncut", False) else _cut(text)


def _exception(record: logging.LogRecord) -> str:
    """The exception as a failure entry has it, the innermost frame first. The `traceback` module
    reads source files, which holds up every job, and calls methods of exceptions that may raise."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return ""
    return _cut("\n".join([one_line(error), *_lines(error)]))


def _lines(error: BaseException) -> list[str]:
    return [f"  {line}" for line in backtrace(error, whole=True)]


def _text(value: object) -> str:
    try:
        return encodable(_cut(str(value)), "utf-8")
    except JobKilled:
        raise
    except BaseException as broken:
        return f"<{exception_name(broken)} in __str__>"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_ERROR_CHARS else text[:MAX_ERROR_CHARS] + "…"


def use_native_locks() -> None:
    """After patching: native threads log beside greenlets. A lock of gevent's that both wait for
    can leave a greenlet waiting for ever, and the loop monitor while a job blocks the loop.
    Nothing switches while one of these is held."""
    logging._lock = original("_thread", "RLock")()  # type: ignore[attr-defined]
    for handler in [*logging.getLogger("gresque").handlers, _root]:
        if handler is not None:
            handler.lock = original("_thread", "RLock")()


def configure_logging(log_format: str, *, verbose: bool, very_verbose: bool) -> None:
    """Set up the `gresque` loggers, and the root logger for those of jobs and their libraries where
    the application does not. Jobs that end well and the lives of worker processes are logged from
    `-v` on; turns, and DEBUG records of others, from `-vv` on."""
    formatter = JsonFormatter() if log_format == "json" else TextFormatter()
    handler = RecordHandler(sys.stderr)
    handler.setFormatter(formatter)
    logger = logging.getLogger("gresque")
    for outlet in stdio.outlets():
        outlet.notice = lambda text: _line(handler, text)
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if verbose or very_verbose else logging.INFO)
    logging.getLogger("gresque.cycle").setLevel(logging.DEBUG if very_verbose else logging.INFO)
    _prepare_root(formatter, logging.DEBUG if very_verbose else logging.INFO)
    _log_what_python_prints()


# The root logger. gresque's handler comes to it after the job modules are imported: before that,
# `logging.basicConfig` in one of them would do nothing. Until then, and while hooks run that may
# configure logging, it is the `lastResort` of records that find no handler.


def _prepare_root(formatter: logging.Formatter, level: int) -> None:
    global _root
    _root = _RootHandler(sys.stderr)
    _root.setFormatter(formatter)
    if not logging.root.handlers:
        logging.lastResort = _root
        logging.root.setLevel(_Level(level))


def serve_root() -> None:
    """Where the application has configured no handler of the root logger, give it gresque's; leave
    it alone where it has."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if _is_ours(name) and type(logger) is logging.Logger:
            logger.__class__ = _OwnLogger
    if _root is None:
        return
    if all(handler is _root for handler in logging.root.handlers):
        logging.root.handlers[:] = [_root]
        return
    logging.root.removeHandler(_root)
    logging.lastResort = _plain_last_resort
    if isinstance(logging.root.level, _Level):
        logging.root.setLevel(logging.WARNING)


@contextmanager
def root_free() -> Iterator[None]:
    """While hooks run that may configure logging. Without preloading the master leaves the root
    logger to its children, whose modules may."""
    is_left = not logging.root.handlers
    if _root is not None:
        logging.root.removeHandler(_root)
    try:
        yield
    finally:
        if not is_left:
            serve_root()


# What Python itself would print to stderr, over several lines, among records that may be JSON.


def _log_what_python_prints() -> None:
    warnings.showwarning = _log_warning
    sys.unraisablehook = _log_unraisable
    sys.excepthook = _log_uncaught


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    if file is not None:
        file.write(warnings.formatwarning(message, category, filename, lineno, line))
        return
    # The logger of `logging.captureWarnings`, which an application may have configured.
    logging.getLogger("py.warnings").warning(
        "%s:%d: %s: %s",
        filename,
        lineno,
        category.__name__,
        message,
        extra=fields("warning", category=category.__name__),
    )


def _log_unraisable(found: Any) -> None:
    """Of a `__del__` or a callback."""
    raised: Any = found.exc_type, found.exc_value, found.exc_traceback
    where = fields("exception_ignored", source=found.object)
    log.error(
        "%s: %r",
        found.err_msg or "exception ignored in",
        found.object,
        exc_info=raised,
        extra=where,
    )


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    log.error(
        "an exception that nothing caught ends process %d", os.getpid(),
        exc_info=(kind, error, trace), extra=fields("exception_uncaught"),
    )  # fmt: skip


def _line(handler: logging.Handler, text: str) -> bytes:
    """A line of the log, made without the logger."""
    record = logging.LogRecord("gresque.log", logging.WARNING, "", 0, text, None, None)
    vars(record).update(fields("output_dropped"))
    return f"{handler.format(record)}\n".encode(errors="backslashreplace")
