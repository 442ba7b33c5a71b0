"""The routes of the pages about what waits for its time, what limits jobs, and the server."""

from __future__ import annotations

from gresque.web import cron_actions, limit_actions, waiting_actions
from gresque.web.pages import audit, cron, limits, redis_server, waiting
from gresque.web.route import Route

STATE: tuple[Route, ...] = (
    Route("GET", "/scheduled", "scheduled", waiting.scheduled, "read"),
    Route("GET", "/retries", "retries", waiting.retries, "read"),
    Route("GET", "/waiting/cancel", "waiting_cancel", waiting.ask_cancel, "act"),
    Route("POST", "/waiting", "waiting_act", waiting_actions.act, "act"),
    Route("GET", "/cron", "cron", cron.page, "read"),
    Route("POST", "/cron", "cron_act", cron_actions.act, "act"),
    Route("GET", "/limits", "limits", limits.page, "read"),
    Route("POST", "/limits", "limit_act", limit_actions.act, "act"),
    Route("POST", "/limits/change", "limit_change", limit_actions.change, "admin"),
    Route("POST", "/locks/release", "lock_release", limit_actions.release, "act"),
    Route("GET", "/redis", "redis", redis_server.page, "read"),
    Route("GET", "/audit", "audit", audit.page, "read"),
)
