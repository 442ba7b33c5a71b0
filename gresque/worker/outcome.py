"""What becomes of a job that did not simply succeed: its failure entry, or its way back."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Any

from gresque.errors import DirtyExit, JobKilled
from gresque.failure.entry import backtrace, encode_entry, error_text, exception_name
from gresque.jobs import payload
from gresque.jobs.definition import JobDefinition
from gresque.store.keys import Keys
from gresque.worker.book import Book

log = logging.getLogger("gresque.job")

Reserved = tuple[bytes, str, bytes]

SHUTDOWN = "shutdown"
"""Why a job was killed when the worker leaves; any other reason is somebody's will."""


class Outcome:
    """Writes the ends of jobs into the book. Nothing here may raise: it runs between jobs."""

    def __init__(self, book: Book, keys: Keys, worker_id: str, on_dirty_exit: str) -> None:
        self._book = book
        self._keys = keys
        self._worker_id = worker_id
        self._on_dirty_exit = on_dirty_exit
        self.verbose = log.isEnabledFor(logging.DEBUG)

    def fail(
        self, job: Reserved, definition: JobDefinition | None, error: BaseException, start: float
    ) -> None:
        """The job raised: keep it as a failure, and tell its `on_failure` hooks."""
        if definition is not None and definition.hooks.on_failure:
            _tell(definition, error, job)
        self._record(job, definition, error, backtrace(error), start)

    def cut_short(
        self, job: Reserved, definition: JobDefinition | None, killed: JobKilled, start: float
    ) -> None:
        """The job was killed: by an operator it fails, by a shutdown it goes where it wants to."""
        reason = str(killed)
        if reason == SHUTDOWN and self.dirty_exit_of(definition) == "requeue":
            self._book.gives.append(job[0])
            self._book.requeued += 1
            log.info("cut short by a shutdown, back in its queue: %s", describe(job))
            return
        error = DirtyExit(f"Job was killed: {reason or 'it raised JobKilled itself'}")
        if definition is not None and definition.hooks.on_failure:
            _tell(definition, error, job)
        self._record(job, definition, error, backtrace(killed), start)

    def dirty_exit_of(self, definition: JobDefinition | None) -> str:
        """`requeue` or `fail`: the job's own word goes before the worker's."""
        return (definition and definition.on_dirty_exit) or self._on_dirty_exit

    def _record(
        self,
        job: Reserved,
        definition: JobDefinition | None,
        error: BaseException,
        trace: list[str],
        start: float,
    ) -> None:
        name, text = exception_name(error), error_text(error)
        self._book.failed += 1
        if definition is None or not definition.skip_failed_queue:
            entry = encode_entry(job[2], name, text, trace, self._worker_id, job[1])
            self._book.entries += (self._keys.failed, entry)
        log.info("failed after %.3f s: %s: %s: %s", monotonic() - start, describe(job), name, text)

    def log_done(self, job: Reserved, start: float) -> None:
        log.debug("done in %.3f s: %s", monotonic() - start, describe(job))


def describe(job: Reserved) -> str:
    """`mail.send_email(42) 5f0c… from mail`, cut to a line."""
    item: dict[str, Any] = payload.loads(job[2][:10_000])
    if "class" not in item:
        return f"an item of {len(job[2]):,} bytes from {job[1]}"
    arguments = ", ".join(
        [*map(repr, item.get("args") or ()), *(f"{k}={v!r}" for k, v in _kwargs(item))]
    )
    if len(arguments) > 200:
        arguments = arguments[:200] + "…"
    return f"{item['class']}({arguments}) {item.get('id', '')} from {job[1]}"


def _kwargs(item: dict[str, Any]) -> Any:
    kwargs = item.get("kwargs")
    return kwargs.items() if isinstance(kwargs, dict) else ()


def _tell(definition: JobDefinition, error: BaseException, job: Reserved) -> None:
    try:
        item = payload.decode(job[2])
        definition.fail(error, *(item.args or ()), **(item.kwargs or {}))
    except Exception:
        log.exception("an on_failure hook of %s raised", definition.name)
