"""Which Redis URLs are accepted, and how they are shown. Pure: no connection is opened here."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from gresque.errors import SettingsError
from gresque.text import is_utf8

EXAMPLE = "redis://localhost:6379/0"

_OPTIONS = re.compile(
    r"db|username|password|client_name|socket_timeout|socket_connect_timeout|socket_keepalive|ssl_\w+"
)
"""The URL options of redis-py that leave a connection usable for gresque."""

_TIMEOUTS = ("socket_timeout", "socket_connect_timeout")

_ENCODE = "percent-encode what is special in a password: %40 for @, %2F for /, %3F for ?, %23 for #"

HIDDEN = "***"
_SCHEME = re.compile(
    r"(?:rediss?|valkeys?|unix|embedded|sentinel|cluster|https?|tcp)(?:\+(?:sentinel|cluster|tls))?",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]*\]|[\w.-]*)(?::\d{1,5})?")
_BARE_ADDRESS = re.compile(r"localhost|[\w.-]+:\d{1,5}(?:/\d{0,5})?")
_DATABASE = re.compile(r"\d{0,5}/?")
_USER = re.compile(r"[\w.-]{1,20}")
_SHOWN_OPTION = re.compile(
    r"db=\d{1,5}|(?:socket_timeout|socket_connect_timeout|socket_keepalive)=[\d.]{0,8}"
    r"|ssl_check_hostname=\w{0,5}|ssl_cert_reqs=(?:none|optional|required)"
)


def check(url: str) -> str:
    """The URL itself; SettingsError when it cannot be one that gresque understands.

    No message quotes an error of urllib: that quotes what it takes for a port, which may be a
    password.
    """
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
    elif url[len("embedded://") :][:1] not in ("", "/"):
        raise SettingsError(
            f"{shown} is not an embedded server; give embedded:///some/dir (three slashes), or "
            "embedded:// for a temporary one"
        )
    return url


def _check_parts(url: str, shown: str) -> None:
    if "#" in url:
        raise SettingsError(f"{shown} is not a Redis URL: a # ends it; {_ENCODE}")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise SettingsError(
            f"{shown} is not a Redis URL: its host and port cannot be read; {_ENCODE}; "
            f"or give one such as {EXAMPLE}"
        ) from None
    if not is_utf8(parts.netloc + parts.query):  # a path may have any bytes
        raise SettingsError(f"{shown} is not UTF-8; {_ENCODE}, and %C3%A4 for ä")
    if parts.scheme != "unix" and not re.fullmatch(r"/?\d*/?", parts.path):
        raise SettingsError(
            f"{shown}: the database is a number, such as in {EXAMPLE}; if that is the end of a "
            f"password, {_ENCODE}"
        )
    if parts.scheme == "unix" and parts.netloc and "@" not in parts.netloc:
        raise SettingsError(
            f"{shown} is not a Redis URL: give three slashes, such as in unix:///run/redis.sock; "
            f"if that is a password, {_ENCODE}"
        )
    if parts.scheme == "unix" and not parts.path:
        raise SettingsError(f"{shown} names no socket; give one such as unix:///run/redis.sock")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if not _OPTIONS.fullmatch(name):
            plain = value and re.fullmatch("[a-z_]+", name)
            option = f"the option {name}" if plain else "an option"
            raise SettingsError(f"{shown}: {option} is not understood; drop it")
        if name == "db" and value and not value.isdecimal():
            raise SettingsError(f"{shown}: the option db is a number; give db=0")
        if name in _TIMEOUTS and value and not _is_time(value):
            raise SettingsError(
                f"{shown}: the option {name} is a number of seconds above 0; give {name}=5"
            )
        if name.startswith("ssl_") and parts.scheme != "rediss":
            raise SettingsError(f"{shown}: ssl_ options are for rediss://; give that, or drop them")
        if name == "socket_keepalive" and parts.scheme == "unix":
            raise SettingsError(f"{shown}: the option {name} is not for unix://; drop it")


def _is_time(value: str) -> bool:
    try:
        return 0 < float(value) < 1e9
    except ValueError:
        return False


def mask(url: str) -> str:
    """The URL with everything hidden that could be a password or a part of one. It shows only parts
    that are certainly something else, as the URL may be mistyped in any way.

        mask("redis://joe:secret@host/0")        # -> "redis://joe:***@host/0"
        mask("redis://token@host/0")             # -> "redis://***@host/0"
        mask("redis://:se?cret@host")            # -> "redis://***"
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url if _BARE_ADDRESS.fullmatch(url) else HIDDEN
    if not _SCHEME.fullmatch(scheme):
        return HIDDEN
    login, at, after = rest.rpartition("@")
    before_fragment, fragment, _ = after.partition("#")
    place, question, query = before_fragment.partition("?")
    address, slash, path = place.partition("/")
    local = scheme.lower() in ("unix", "embedded")
    if set(login) & {"?", "#"} or not _ADDRESS.fullmatch(address) or (local and address):
        return f"{scheme}://{HIDDEN}"
    if not local and not _DATABASE.fullmatch(path):
        path = HIDDEN
    return "".join(
        (
            f"{scheme}://",
            f"{_mask_login(login)}@" if at else "",
            f"{address}{slash}{path}",
            question,
            "&".join(_mask_option(option) for option in query.split("&")) if query else "",
            f"#{HIDDEN}" if fragment else "",
        )
    )


def _mask_login(login: str) -> str:
    """A user without a password may be a token."""
    user, _, password = login.partition(":")
    return f"{user}:{HIDDEN}" if password.strip(":") and _USER.fullmatch(user or "x") else HIDDEN


def _mask_option(option: str) -> str:
    name, equals, _ = option.partition("=")
    if _SHOWN_OPTION.fullmatch(option):
        return option
    return f"{name}={HIDDEN}" if equals and _OPTIONS.fullmatch(name) else HIDDEN


def mask_within(text: str) -> str:
    """A message with the URLs in it masked."""

    def masked(found: re.Match[str]) -> str:
        return found[0] if HIDDEN in found[0] else f"{HIDDEN}@"

    # The text after the last @ here is the remedy of _ENCODE, not a host.
    return re.sub(r"\b(?:rediss?|unix|embedded)\b\S*:.*@(?!, %2F for)", masked, text)
