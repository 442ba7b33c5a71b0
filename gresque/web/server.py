"""Serving the dashboard with gevent, until SIGTERM or SIGINT. The process is patched before."""

from __future__ import annotations

import gc
import logging
import signal
import time
from collections.abc import Callable
from typing import Any

import gevent
import redis
from flask import Flask
from gevent.event import Event
from gevent.pywsgi import LoggingLogAdapter, WSGIHandler, WSGIServer

from gresque.connection.errors import explain
from gresque.errors import BootError, RedisUnavailable
from gresque.logs import fields
from gresque.store.store import Store
from gresque.web.site import Site

log = logging.getLogger("gresque.web")

GRACE_SECONDS = 5.0
"""How long requests that are being answered, and actions under way, may still take at the end."""
NEW_OBJECTS = 50_000
"""A page of a large system makes as many. A collection after each 700 took half of its time."""
IDLE_SECONDS = 75.0
"""A connection without a request is closed after it."""


def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Run what takes CPU for long outside the loop."""
    return gevent.get_hub().threadpool.apply(function, args)


class _Handler(WSGIHandler):  # type: ignore[misc]
    def read_requestline(self) -> Any:
        limit = gevent.Timeout.start_new(IDLE_SECONDS)
        try:
            return super().read_requestline()
        except gevent.Timeout as expired:
            if expired is not limit:
                raise
            return None
        finally:
            limit.close()

    def log_request(self) -> None:
        """Requests are not logged: a page asks each second."""


class _Counted:
    """Knows how many requests are being answered."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._count = 0
        self.none = Event()
        self.none.set()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self._count += 1
        self.none.clear()
        try:
            return self._app(environ, start_response)
        finally:
            self._count -= 1
            if not self._count:
                self.none.set()


class Server:
    def __init__(self, app: Flask, host: str, port: int) -> None:
        self._counted = _Counted(app)
        site: Site = app.extensions["gresque"]
        self._parts = [*site.parts.values()] or [site]
        errors = LoggingLogAdapter(log, logging.ERROR)
        self._server = WSGIServer(
            (host, port), self._counted, handler_class=_Handler, log=None, error_log=errors
        )
        self._over = Event()

    def start(self) -> int:
        """Listen; the port. Raises BootError."""
        try:
            self._server.start()
        except OSError as error:
            host, port = self._server.address[:2]
            # gevent adds the address to the reason, too.
            reason = (error.strerror or str(error)).partition(": (")[0]
            raise BootError(f"cannot listen on {host}:{port}: {reason}; see --bind") from None
        port = int(self._server.server_port)
        log.info("dashboard listens on port %d", port, extra=fields("web_started", port=port))
        return port

    def serve(self) -> None:
        """Until a signal, or `stop`. No request that is being answered is cut off before
        GRACE_SECONDS."""
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, self._over.set)
        for part in self._parts:
            gevent.spawn(look_for_redis, part.store)
        gc.freeze()
        gc.set_threshold(NEW_OBJECTS, 20, 20)
        self._over.wait()
        # Idle connections are not waited for: a browser keeps them for minutes.
        self._server.close()
        until = time.monotonic() + GRACE_SECONDS
        self._counted.none.wait(GRACE_SECONDS)
        for part in self._parts:
            for actions in (part.bulks, part.kills):
                actions.close(until - time.monotonic())
            part.failures.close()
        self._server.stop(timeout=0.05)
        log.info("dashboard has ended", extra=fields("web_ended"))

    def stop(self) -> None:
        self._over.set()


def look_for_redis(store: Store) -> None:
    """Pages say it, too, but who has given a wrong address or password looks at the log first."""
    try:
        store.redis.ping()
    except (redis.RedisError, RedisUnavailable) as error:
        text = explain(store.server.url, error)
        log.warning("%s; pages show nothing until it does", text, extra=fields("web_no_redis"))
