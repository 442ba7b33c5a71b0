"""Where the server is. No other module knows: each connection asks a topology when it is opened.

Imports no redis-py: the master of `gresque work --no-preload` calls this, and must stay unpatched
and small.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

from gresque.connection.urls import mask


class Topology(Protocol):
    """The servers behind one REDIS_URL."""

    def resolve(self) -> str:
        """The URL of the server to open a connection to."""

    def place(self) -> str:
        """Where the server is, for messages. Never shows a password."""


class Single:
    """One server at one address. A name in DNS that moves counts as one."""

    def __init__(self, url: str) -> None:
        self._url = url

    def resolve(self) -> str:
        return resolve_url(self._url)

    def place(self) -> str:
        parts = urlsplit(self._url)
        if parts.scheme in ("unix", "embedded"):
            return parts.path or mask(self._url)
        host = parts.hostname or "localhost"
        host = f"[{host}]" if ":" in host else host
        return f"{host}:{parts.port or 6379}"


def topology_of(url: str) -> Topology:
    """The topology that a REDIS_URL names."""
    return Single(url)


def resolve_url(url: str) -> str:
    """The URL by which this process, and all that it forks, reach the server.

    `embedded://` starts a server, or joins the one that runs; other URLs stay. Raises
    SettingsError, and BootError for an embedded server that does not start.
    """
    if not url.startswith("embedded:"):
        return url
    from gresque.connection import embedded  # needs a package that other URLs do not need

    return embedded.resolve(url)
