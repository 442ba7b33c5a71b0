"""The one table of routes. The app registers from it; tests of who may do what, and the description
of the API, are made from it."""

from __future__ import annotations

from typing import NamedTuple

from gresque.web import plain, running_actions, signing_in, static_files
from gresque.web.api.table import API
from gresque.web.pages import job, keys, overview, queues, running
from gresque.web.route import Route
from gresque.web.state_routes import STATE
from gresque.web.work_routes import WORK


class Tab(NamedTuple):
    """A tab of the bar; it appears once its route is in the table. `key` comes after g."""

    title: str
    route: str
    key: str


ROUTES: tuple[Route, ...] = (
    Route("GET", "/in", "come_in", signing_in.come_in, None),
    Route("GET", "/login", "sign_in", signing_in.sign_in_page, None),
    Route("POST", "/login", "sign_in_post", signing_in.sign_in, None),
    Route("POST", "/logout", "sign_out", signing_in.sign_out, None),
    Route("GET", "/static/<path:name>", "static_file", static_files.static_file, None),
    Route("GET", "/keys", "keys", keys.page, None),
    # Pages.
    Route("GET", "/", "overview", overview.page, "read"),
    Route("GET", "/running", "running", running.page, "read"),
    Route("GET", "/running/kill", "running_kill", running.ask_kill, "act"),
    Route("POST", "/running/kill", "kill_matching", running_actions.kill_matching, "act"),
    Route("POST", "/running/kill/jobs", "kill_jobs", running_actions.kill_jobs, "act"),
    Route("GET", "/jobs/<name:job_id>", "job", job.page, "read"),
    Route("GET", "/queues", "queues", queues.page, "read"),
    *WORK,
    *STATE,
    # For other programs.
    Route("GET", "/healthz", "health", plain.health, None),
    Route("GET", "/metrics", "metrics", plain.metrics, "read"),
    Route("GET", "/stats.txt", "stats", plain.stats, "read"),
    *API,
)

TABS = (
    Tab("Overview", "overview", "o"),
    Tab("Running", "running", "r"),
    Tab("Queues", "queues", "q"),
    Tab("Failed", "failed", "f"),
    Tab("Scheduled", "scheduled", "s"),
    Tab("Cron", "cron", "c"),
    Tab("Retries", "retries", "t"),
    Tab("Workers", "workers", "w"),
    Tab("Ledger", "ledger", "l"),
    Tab("Limits", "limits", "i"),
    Tab("Redis", "redis", "d"),
    Tab("Audit", "audit", "a"),
)
