"""Performing a job in the caller, as a worker thread does: for `inline` clients and tests."""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

from gresque.errors import DontPerform
from gresque.jobs.current import CurrentJob, running
from gresque.jobs.definition import JobDefinition
from gresque.jobs.payload import decode, split
from gresque.jobs.result import check_result
from gresque.jobs.tracking import encode_result


def perform_here(definition: JobDefinition, queue: str, raw: bytes) -> Any:
    """Perform a payload, within the perform middleware and with its hooks; returns its result, None
    when it was skipped. Its arguments come from JSON, as a worker sees them. What it raises comes
    out, after the hooks of a job that has failed for good. Nothing ends it at its timeout.

    It runs in a copy of the caller's context: what it sets in context variables is gone after it.
    """
    return copy_context().run(_perform, definition, queue, raw)


def _perform(definition: JobDefinition, queue: str, raw: bytes) -> Any:
    args, kwargs = split(decode(raw).args)
    with running(CurrentJob(queue, raw)):
        try:
            result = definition.call(*args, **kwargs)
            check_result(f"job {definition.name}", result)
            if definition.result_ttl_seconds:
                encode_result(definition.name, result)
        except DontPerform:
            return None
        except Exception as error:
            definition.fail(error, *args, **kwargs)
            raise
        return result
