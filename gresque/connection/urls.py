"""Which Redis URLs are accepted, and how they are shown. Pure: no connection is opened here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from gresque.errors import SettingsError
from gresque.text import is_utf8

EXAMPLE = "redis://localhost:6379/0"
SENTINEL_EXAMPLE = "redis+sentinel://host1,host2,host3/NAME"
CLUSTER_EXAMPLE = "redis+cluster://host1,host2"

Address = tuple[str, int]
"""A host and a port."""

Kind = Literal["single", "sentinel", "cluster"]

_KINDS: dict[str, Kind] = {
    "redis": "single", "rediss": "single", "unix": "single", "embedded": "single",
    "redis+sentinel": "sentinel", "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster", "rediss+cluster": "cluster",
}  # fmt: skip
_PORTS: dict[Kind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}

_OPTIONS = re.compile(
    r"db|username|password|client_name|socket_timeout|socket_connect_timeout|socket_keepalive|ssl_\w+"
)
"""The URL options of redis-py that leave a connection usable for gresque."""

_OF_SENTINELS = ("sentinel_username", "sentinel_password", "sentinel_ssl")

_TIMEOUTS = ("socket_timeout", "socket_connect_timeout")

_ENCODE = "percent-encode what is special in a password: %40 for @, %2F for /, %3F for ?, %23 for #"

HIDDEN = "***"
_SCHEME = re.compile(
    r"(?:rediss?|valkeys?|unix|embedded|sentinel|cluster|https?|tcp)(?:\+(?:sentinel|cluster|tls))?",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]*\]|[\w.-]*)(?::\d{1,5})?")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?")
_BARE_ADDRESS = re.compile(r"localhost|[\w.-]+:\d{1,5}(?:/\d{0,5})?")
_DATABASE = re.compile(r"\d{0,5}/?")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
"""The names that Sentinel allows."""
_NAME_AND_DATABASE = re.compile(r"(?:[A-Za-z0-9._-]{1,64}(?:/\d{0,5}/?)?)?")
_USER = re.compile(r"[\w.-]{1,20}")
_SHOWN_OPTION = re.compile(
    r"db=\d{1,5}|(?:socket_timeout|socket_connect_timeout|socket_keepalive)=[\d.]{0,8}"
    r"|ssl_check_hostname=\w{0,5}|ssl_cert_reqs=(?:none|optional|required)"
    r"|sentinel_ssl=(?:true|false)"
)


@dataclass(frozen=True)
class Endpoint:
    """What a Redis URL says."""

    kind: Kind
    hosts: tuple[Address, ...]
    """The server, the Sentinels, or nodes of the Cluster; none with a socket or a directory."""
    name: str
    """Of the primary, as the Sentinels know it; else the path of a socket or directory."""
    db: int
    tls: bool
    """Of the data servers."""
    username: str = field(repr=False)
    """Of the data servers, as is the password."""
    password: str = field(repr=False)
    options: Mapping[str, str] = field(repr=False)
    """The others: those of redis-py's connections, and those that begin with sentinel_."""

    @property
    def fails_over(self) -> bool:
        """Whether other servers stand by in place of the one that is asked."""
        return self.kind != "single"

    @property
    def sentinel_tls(self) -> bool:
        given = self.options.get("sentinel_ssl")
        return self.tls if given is None else given == "true"

    @property
    def place(self) -> str:
        """Where it is, for messages. Never shows a password."""
        hosts = ",".join(shown(address) for address in self.hosts)
        if self.kind == "sentinel":
            return f"{self.name} (Sentinels {hosts})"
        return f"Cluster {hosts}" if self.kind == "cluster" else hosts or self.name


def shown(address: Address) -> str:
    """host:port"""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@lru_cache(maxsize=64)
def endpoint(url: str) -> Endpoint:
    """What the URL says. Raises SettingsError when it cannot be one that gresque understands.

    No message quotes an error of urllib: that quotes what it takes for a port, which may be a
    password.

        endpoint("redis+sentinel://s1,s2:26380/mymaster/2")
        # -> Endpoint("sentinel", (("s1", 26379), ("s2", 26380)), "mymaster", 2, …)
    """
    scheme, separator, rest = url.partition("://")
    masked = repr(mask(url))
    kind = _KINDS.get(scheme)
    if not separator or kind is None:
        raise SettingsError(
            f"{masked} is not a Redis URL; give one such as {EXAMPLE}, rediss://host:6380, "
            f"unix:///run/redis.sock or embedded:///some/dir; with Sentinels "
            f"{SENTINEL_EXAMPLE}, with a Cluster {CLUSTER_EXAMPLE}"
        )
    if scheme == "embedded":
        if rest[:1] not in ("", "/"):
            raise SettingsError(
                f"{masked} is not an embedded server; give embedded:///some/dir (three slashes), "
                "or embedded:// for a temporary one"
            )
        return Endpoint(kind, (), urlsplit(url).path or mask(url), 0, False, "", "", {})
    parts = _split(url, masked)
    hosts = _hosts(kind, parts, masked)
    name, db = _path(kind, parts, masked)
    options = dict(reversed(parse_qsl(parts.query, keep_blank_values=True)))
    for option, value in options.items():
        _check_option(kind, scheme, option, value, options, masked)
    login, _, _ = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    return Endpoint(
        kind,
        hosts,
        name,
        int(options.pop("db", "") or 0) if db is None else db,
        scheme.startswith("rediss"),
        unquote(user) or options.pop("username", ""),
        unquote(password) or options.pop("password", ""),
        options,
    )


def check(url: str) -> str:
    """The URL itself. Raises SettingsError as `endpoint` does."""
    endpoint(url)
    return url


def check_namespace(url: str, namespace: str) -> None:
    """Raises SettingsError where the keys of this namespace would be spread over a Cluster."""
    if endpoint(url).kind == "cluster" and not hash_tag(namespace):
        name = re.sub("[{}]", "", namespace) or "resque"
        raise SettingsError(
            f"{mask(url)!r} is a Cluster, which keeps keys with the same word in braces on one "
            f"node: set RESQUE_NAMESPACE={{{name}}}"
        )


def hash_tag(text: str) -> str:
    """The part of a key by which a Cluster chooses the node: what stands in the first braces. Empty
    where there are none, or nothing is in them."""
    _, _, rest = text.partition("{")
    tag, closing, _ = rest.partition("}")
    return tag if closing else ""


def _split(url: str, masked: str) -> SplitResult:
    if "#" in url:
        raise SettingsError(f"{masked} is not a Redis URL: a # ends it; {_ENCODE}")
    unreadable = SettingsError(
        f"{masked} is not a Redis URL: its host and port cannot be read; {_ENCODE}; "
        f"or give one such as {EXAMPLE}"
    )
    try:
        parts = urlsplit(url)
    except ValueError:
        raise unreadable from None
    if not is_utf8(parts.netloc + parts.query):  # a path may have any bytes
        raise SettingsError(f"{masked} is not UTF-8; {_ENCODE}, and %C3%A4 for ä")
    if _KINDS[parts.scheme] != "single":
        return parts
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if len(hosts) > 1 and all(_HOST.fullmatch(host) for host in hosts):
        raise SettingsError(
            f"{masked} names several hosts; with Sentinels give {SENTINEL_EXAMPLE}, "
            f"with a Cluster {CLUSTER_EXAMPLE}, else one host"
        )
    try:
        _ = parts.port
    except ValueError:
        raise unreadable from None
    return parts


def _hosts(kind: Kind, parts: SplitResult, masked: str) -> tuple[Address, ...]:
    if parts.scheme == "unix":
        if parts.netloc and "@" not in parts.netloc:
            raise SettingsError(
                f"{masked} is not a Redis URL: give three slashes, such as in "
                f"unix:///run/redis.sock; if that is a password, {_ENCODE}"
            )
        if not parts.path:
            raise SettingsError(
                f"{masked} names no socket; give one such as unix:///run/redis.sock"
            )
        return ()
    if kind == "single":
        return ((parts.hostname or "localhost", parts.port or _PORTS[kind]),)
    found = [_HOST.fullmatch(each) for each in parts.netloc.rpartition("@")[2].split(",")]
    hosts = tuple(
        (each[1].strip("[]"), int(each[2] or _PORTS[kind])) for each in found if each is not None
    )
    if len(hosts) < len(found) or not all(0 < port < 65_536 for _, port in hosts):
        example = SENTINEL_EXAMPLE if kind == "sentinel" else CLUSTER_EXAMPLE
        raise SettingsError(
            f"{masked} is not a Redis URL: its hosts and ports cannot be read; {_ENCODE}; "
            f"or give one such as {example}"
        )
    return tuple(dict.fromkeys(hosts))


def _path(kind: Kind, parts: SplitResult, masked: str) -> tuple[str, int | None]:
    """The name of the primary, or the path, and the database where the path has one."""
    if parts.scheme == "unix":
        return parts.path, None
    path = parts.path.removeprefix("/")
    if kind == "cluster":
        if path:
            raise SettingsError(
                f"{masked}: a Cluster has no databases: drop what follows the hosts; if that is "
                f"the end of a password, {_ENCODE}"
            )
        return "", None
    name = ""
    if kind == "sentinel":
        name, _, path = path.partition("/")
        if not _NAME.fullmatch(name):
            raise SettingsError(
                f"{masked}: the name of the primary, as the Sentinels know it, must follow the "
                f"hosts, as NAME in {SENTINEL_EXAMPLE}"
            )
    if not re.fullmatch(r"\d*/?", path, re.ASCII):
        raise SettingsError(
            f"{masked}: the database is a number, such as in {EXAMPLE}; if that is the end of a "
            f"password, {_ENCODE}"
        )
    database = path.removesuffix("/")
    return name, int(database) if database else None


def _check_option(
    kind: Kind, scheme: str, name: str, value: str, options: Mapping[str, str], masked: str
) -> None:
    if not _OPTIONS.fullmatch(name) and not (kind == "sentinel" and name in _OF_SENTINELS):
        plain = value and re.fullmatch("[a-z_]+", name)
        option = f"the option {name}" if plain else "an option"
        raise SettingsError(f"{masked}: {option} is not understood; drop it")
    if name == "db" and kind == "cluster":
        raise SettingsError(f"{masked}: a Cluster has no databases: drop the option db")
    if name == "db" and value and not value.isdecimal():
        raise SettingsError(f"{masked}: the option db is a number; give db=0")
    if name in _TIMEOUTS and value and not _is_time(value):
        raise SettingsError(
            f"{masked}: the option {name} is a number of seconds above 0; give {name}=5"
        )
    if name == "sentinel_ssl" and value not in ("true", "false"):
        raise SettingsError(f"{masked}: the option sentinel_ssl is true or false")
    if name.startswith("ssl_") and not (
        scheme.startswith("rediss") or options.get("sentinel_ssl") == "true"
    ):
        tls = scheme.replace("redis", "rediss") if scheme.startswith("redis") else "rediss"
        raise SettingsError(f"{masked}: ssl_ options are for {tls}://; give that, or drop them")
    if name == "socket_keepalive" and scheme == "unix":
        raise SettingsError(f"{masked}: the option {name} is not for unix://; drop it")


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
    if set(login) & {"?", "#"} or not _is_address(scheme, address) or (local and address):
        return f"{scheme}://{HIDDEN}"
    shown_path = _NAME_AND_DATABASE if scheme.endswith("+sentinel") else _DATABASE
    if not local and not shown_path.fullmatch(path):
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


def _is_address(scheme: str, text: str) -> bool:
    if scheme.endswith(("+sentinel", "+cluster")) and "," in text:
        return all(_HOST.fullmatch(host) for host in text.split(","))
    return bool(_ADDRESS.fullmatch(text))


def _mask_login(login: str) -> str:
    """A user without a password may be a token."""
    user, _, password = login.partition(":")
    return f"{user}:{HIDDEN}" if password.strip(":") and _USER.fullmatch(user or "x") else HIDDEN


def _mask_option(option: str) -> str:
    name, equals, _ = option.partition("=")
    if _SHOWN_OPTION.fullmatch(option):
        return option
    known = _OPTIONS.fullmatch(name) or name in _OF_SENTINELS
    return f"{name}={HIDDEN}" if equals and known else HIDDEN


def mask_within(text: str) -> str:
    """A message with the URLs in it masked."""

    def masked(found: re.Match[str]) -> str:
        return found[0] if HIDDEN in found[0] else f"{HIDDEN}@"

    # The text after the last @ here is the remedy of _ENCODE, not a host.
    without = re.sub(r"\b(?:rediss?|unix|embedded)\b\S*:.*@(?!, %2F for)", masked, text)
    return re.sub(r"(password=)[^&\s]+", rf"\1{HIDDEN}", without)
