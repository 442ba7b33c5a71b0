"""The Flask application: routes from the table, the checks around them, what templates have."""

from __future__ import annotations

import getpass
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from flask import Flask, Response, request
from flask.sessions import SecureCookieSessionInterface
from werkzeug.middleware.proxy_fix import ProxyFix

import gresque.formats as formats
from gresque.inspector.collector import Collector
from gresque.inspector.merged_collector import MergedCollector
from gresque.jobs import filter_args
from gresque.shards import Shard
from gresque.store.store import Store
from gresque.text import counted
from gresque.version import __version__
from gresque.web import charts, static_files
from gresque.web.accounts import Accounts, OneTimeLink, Role
from gresque.web.addresses import address_of, here_with
from gresque.web.bulk import Bulks
from gresque.web.cached import Cached
from gresque.web.compress import compress
from gresque.web.errors import register_errors
from gresque.web.failures import Failures
from gresque.web.front import Mounted, front_routes
from gresque.web.kills import Kills
from gresque.web.measured import Measured
from gresque.web.merged import MergedKills, MergedMeasured, MergedStacks
from gresque.web.names import NameConverter, to_field
from gresque.web.pages.by_shard import PARTS
from gresque.web.pages.overview import box_of
from gresque.web.route import Route
from gresque.web.routes import ROUTES
from gresque.web.security import check_request, protect
from gresque.web.settings import WebSettings
from gresque.web.shared import Shared
from gresque.web.shell import shell
from gresque.web.site import ROOT, Site, Who, call_directly, may, shown_bulks, site, who
from gresque.web.stacks import Stacks
from gresque.web.totals import Totals
from gresque.web.values import block, moment, offset, stressed, value

MOST_BYTES = 2_000_000
"""Of a request. A payload that was edited has to fit."""
SIGNED_IN_FOR = timedelta(days=7)
REPLY_SECONDS = 5.0
"""How long Redis may take for a reply to a page."""


def build_app(settings: WebSettings, slowly: Callable[..., Any] = call_directly) -> Flask:
    """`slowly` runs what takes CPU for long. Raises SettingsError."""
    accounts = Accounts(settings.user_lines())
    filter_args.use(settings.filter_args)
    shards = settings.all_shards()
    link = None if accounts else OneTimeLink()
    key = settings.secret.encode() or (accounts.key if accounts else secrets.token_bytes())

    def made(shard: Shard) -> Flask:
        here = _site(settings, shard, accounts, link, slowly)
        if len(shards) > 1:
            here = replace(here, shard=shard.name, names=[each.name for each in shards])
        return _app(here, ROUTES, key)

    parts = {shard.name: made(shard) for shard in shards}
    app = parts[shards[0].name] if len(shards) == 1 else _front(parts, key)
    if settings.prefix:
        app.wsgi_app = _Prefix(app.wsgi_app, settings.prefix)  # type: ignore[method-assign]
    if settings.trust_proxy:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=0 if settings.prefix else 1
        )
    return app


def _site(
    settings: WebSettings,
    shard: Shard,
    accounts: Accounts,
    link: OneTimeLink | None,
    slowly: Callable[..., Any],
) -> Site:
    replicas = settings.enqueue_wait_replicas
    store = Store(shard.url, shard.namespace, reply_seconds=REPLY_SECONDS, wait_replicas=replicas)
    role = Role.READ if settings.read_only else Role.ADMIN
    return Site(
        settings=replace(settings, namespace=shard.namespace),
        store=store,
        collector=Collector(store, settings.failure_backend),
        measured=Measured(store),
        totals=Totals.of(store),
        failures=Failures.open(store, settings.failure_backend),
        kills=Kills(store),
        stacks=Stacks(store),
        accounts=accounts,
        link=link,
        local_user=Who(f"{_user()}@{socket.gethostname()}", role),
        slowly=slowly,
    )


def _front(parts: Mapping[str, Flask], key: bytes) -> Flask:
    """The app of all shards, with those of the shards below it."""
    sites: dict[str, Site] = {name: app.extensions["gresque"] for name, app in parts.items()}
    collector = MergedCollector({name: each.collector for name, each in sites.items()})

    def shard_of(process: str) -> str | None:
        return collector.last().shards.get(process)

    here = replace(
        next(iter(sites.values())),
        collector=collector,
        measured=MergedMeasured(sites),
        kills=MergedKills(sites, shard_of),
        stacks=MergedStacks(sites, shard_of),
        shared=Shared(),
        cached=Cached(),
        bulks=Bulks(),
        shard="",
        parts=sites,
    )
    app = _app(here, front_routes(ROUTES), key)
    app.extensions[PARTS] = parts
    mounted = Mounted(app.wsgi_app, [each.wsgi_app for each in parts.values()])
    app.wsgi_app = mounted  # type: ignore[method-assign]
    return app


def _app(here: Site, routes: Sequence[Route], key: bytes) -> Flask:
    app = Flask("gresque.web", static_folder=None, template_folder="templates")
    app.config.update(
        SECRET_KEY=key,
        MAX_CONTENT_LENGTH=MOST_BYTES,
        MAX_FORM_MEMORY_SIZE=MOST_BYTES,
        PERMANENT_SESSION_LIFETIME=SIGNED_IN_FOR,
        # Cookies know no ports: two dashboards on one machine have two names.
        SESSION_COOKIE_NAME=f"gresque-{here.settings.address[1]}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
    )
    app.session_interface = _Sessions()
    app.extensions["gresque"] = here
    app.url_map.converters["name"] = NameConverter
    _add_routes(app, routes)
    _add_to_templates(app)
    register_errors(app)
    return app


def _add_routes(app: Flask, routes: Sequence[Route]) -> None:
    roles = {route.name: route.role for route in routes}
    for route in routes:
        app.add_url_rule(
            route.path, route.name, route.view,
            methods=[route.method], provide_automatic_options=False,
        )  # fmt: skip

    @app.before_request
    def check() -> None:
        # An address that does not exist is one for everybody.
        check_request(roles.get(request.endpoint or ""))

    @app.after_request
    def show_what_changed(response: Response) -> Response:
        if request.method == "POST" and response.status_code < 400:
            site().collector.renew()
        return response

    app.after_request(compress)
    app.after_request(protect)


def _add_to_templates(app: Flask) -> None:
    jinja = app.jinja_env
    jinja.trim_blocks = jinja.lstrip_blocks = True
    jinja.filters["value"] = value
    jinja.filters["field"] = to_field
    jinja.filters["counted"] = counted
    jinja.filters.update(block=block, moment=moment, offset=offset, stressed=stressed)
    jinja.filters["box"] = box_of
    for name in ("span", "rough", "ago", "number", "short", "rate", "share", "size"):
        jinja.filters[name] = getattr(formats, name)
    jinja.globals.update(
        shown_bulks=shown_bulks,
        charts=charts, address_of=address_of, here_with=here_with, may=may, who=who, shell=shell,
        static=static_files.address, version=__version__,
    )  # fmt: skip


class _Sessions(SecureCookieSessionInterface):
    """Signed cookies that go no further than the dashboard, by TLS where it is used."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure

    def get_cookie_path(self, app: Flask) -> str:
        # One cookie for the dashboards of all shards.
        return f"{request.environ.get(ROOT, request.script_root)}/"


class _Prefix:
    """Serves below a prefix where the proxy passes the whole path on."""

    def __init__(self, app: Any, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        path = environ.get("PATH_INFO", "")
        if path == self._prefix or path.startswith(self._prefix + "/"):
            environ["PATH_INFO"] = path[len(self._prefix) :] or "/"
        environ["SCRIPT_NAME"] = self._prefix
        return self._app(environ, start_response)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        return "operator"
