"""The routes of failed jobs."""

from __future__ import annotations

from gresque.web import failed_actions
from gresque.web.pages import failed
from gresque.web.route import Route

WORK = (
    Route("GET", "/failed", "failed", failed.page, "read"),
    Route("GET", "/failed/entry", "failed_entry", failed.entry, "read"),
    Route("GET", "/failed/download", "failed_download", failed.download, "read"),
    Route("GET", "/failed/retry", "failed_ask_retry", failed.ask_retry, "act"),
    Route("GET", "/failed/remove", "failed_ask_remove", failed.ask_remove, "act"),
    Route("POST", "/failed/retry", "failed_bulk_retry", failed_actions.retry_all, "act"),
    Route("POST", "/failed/remove", "failed_bulk_remove", failed_actions.remove_all, "act"),
    Route("POST", "/failed/bulk/<token>/cancel", "bulk_cancel", failed_actions.cancel, "act"),
    Route("POST", "/failed/selected", "failed_selected", failed_actions.selected, "act"),
)
