"""What a Redis URL may be. Pure: it is checked long before anybody connects."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from gresque.errors import SettingsError

EXAMPLE = "redis://localhost:6379/0"

_OPTIONS = re.compile(
    r"db|username|password|client_name|socket_timeout|socket_connect_timeout|socket_keepalive|ssl_\w+"
)
"""Of redis-py's URL options those that cannot break what gresque needs from a connection."""


def check(url: str) -> str:
    """The URL itself; SettingsError when it cannot be one that gresque understands."""
    scheme, separator, _ = url.partition("://")
    shown = repr(mask(url))
    if scheme in ("redis+sentinel", "rediss+sentinel", "sentinel", "redis+cluster", "cluster"):
        raise SettingsError(f"{shown}: Sentinel and Cluster are not supported yet; give one server")
    if not separator or scheme not in ("redis", "rediss", "unix", "embedded"):
        raise SettingsError(
            f"{shown} is not a Redis URL; give one such as {EXAMPLE}, "
            "rediss://host:6380, unix:///run/redis.sock or embedded:///some/dir"
        )
    if scheme != "embedded":
        _check_parts(url, shown)
    return url


def _check_parts(url: str, shown: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise SettingsError(
            f"{shown} is not a Redis URL: {error}; give one such as {EXAMPLE}"
        ) from None
    if parts.scheme != "unix" and not re.fullmatch(r"/?\d*/?", parts.path):
        raise SettingsError(
            f"{shown}: the database is a number, such as in {EXAMPLE}, and not {parts.path!r}"
        )
    if parts.scheme == "unix" and not parts.path:
        raise SettingsError(f"{shown} names no socket; give one such as unix:///run/redis.sock")
    for name, value in parse_qsl(parts.query):
        if not _OPTIONS.fullmatch(name) or (name == "db" and not value.isdecimal()):
            raise SettingsError(f"{shown}: the option {name}={value} is not understood; drop it")


def mask(url: str) -> str:
    """`redis://user:secret@host` -> `redis://user:***@host`. Rather hides too much."""
    url = re.sub(r"^([^:]+://[^:@/]*:).*@", r"\1***@", url)
    return re.sub(r"([?&]password=)[^&#]*", r"\1***", url)
