"""From the URL that a user gives to that of a server that runs. Imports no redis-py: the master of
`gresque work --no-preload` calls this, and must stay unpatched and small."""

from __future__ import annotations

from urllib.parse import urlsplit

from gresque.connection.urls import mask


def resolve_url(url: str) -> str:
    """`embedded://` starts a server, or joins the one that is there; other URLs stay."""
    if not url.startswith("embedded:"):
        return url
    from gresque.connection import embedded  # only who asks for it needs its package

    return embedded.resolve(url)


def place(url: str) -> str:
    """Where the server is, for messages: never shows a password."""
    parts = urlsplit(url)
    if parts.scheme in ("unix", "embedded"):
        return parts.path or mask(url)
    host = parts.hostname or "localhost"
    return f"[{host}]:{parts.port or 6379}" if ":" in host else f"{host}:{parts.port or 6379}"
