"""Logging to stderr: a sentence a line, or a JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
import time

from gresque.unpatched import original

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class TextFormatter(logging.Formatter):
    """`2026-11-24T01:02:03.456Z INFO  gresque.master[123] sentence`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s[%(process)d] %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _timestamp(record)


class JsonFormatter(logging.Formatter):
    """One object: time, level, logger, pid, message, and the fields given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        fields |= {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str, ensure_ascii=False)


def _timestamp(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


def use_native_locks() -> None:
    """After patching: native threads log beside greenlets. A lock of gevent's that both wait for
    can leave a greenlet waiting for ever, and the watcher for as long as a job blocks the loop.
    Nothing switches while one of these is held."""
    logging._lock = original("_thread", "RLock")()  # type: ignore[attr-defined]
    for handler in logging.getLogger("gresque").handlers:
        handler.lock = original("_thread", "RLock")()


def configure_logging(log_format: str, *, verbose: bool, very_verbose: bool) -> None:
    """Set up the `gresque` loggers. Jobs that end well and the lives of worker processes are told
    from `-v` on, turns from `-vv` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logger = logging.getLogger("gresque")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if verbose or very_verbose else logging.INFO)
    logging.getLogger("gresque.cycle").setLevel(logging.DEBUG if very_verbose else logging.INFO)
