"""The settings of the dashboard, read once and then frozen."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from gresque.errors import SettingsError
from gresque.setting_values import switch
from gresque.settings import (
    DEFAULT_FAILURE_BACKEND,
    DEFAULT_NAMESPACE,
    DEFAULT_REDIS_URL,
)
from gresque.shards import Shard, shards_of
from gresque.text import from_os, to_os

DEFAULT_BIND = "127.0.0.1:5678"


class WebOption(NamedTuple):
    """How a setting is given: its ENV name, its flags (none for what must not stand in `ps`), its
    parser, and its help."""

    env: str
    flags: tuple[str, ...]
    parse: Callable[[str], Any]
    help: str
    is_flag: bool = False
    repeatable: bool = False


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


def _bind(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) < 65_536):
        raise SettingsError(f"{text!r} is no address; give one such as {DEFAULT_BIND}")
    return text


def _prefix(text: str) -> str:
    text = text.rstrip("/")
    if text and not text.startswith("/"):
        raise SettingsError(f"{text!r} is no path; it begins with a slash, such as /gresque")
    return text


def _option(
    env: str,
    flags: str,
    parse: Callable[[str], Any],
    help_text: str,
    default: Any,
    *,
    is_flag: bool = False,
    repeatable: bool = False,
) -> Any:
    option = WebOption(env, tuple(flags.split()), parse, help_text, is_flag, repeatable)
    return field(default=default, repr=bool(flags), metadata={"option": option})


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    """What the dashboard reads and who may use it."""

    redis_url: str = field(default=DEFAULT_REDIS_URL, repr=False)
    redis_urls: tuple[str, ...] = field(default=(), repr=False)
    """A shard each, as REDIS_URLS has them, in place of `redis_url`."""
    namespace: str = DEFAULT_NAMESPACE
    shards: int = 1
    """As SHARDS: how many there are in one Cluster."""
    enqueue_wait_replicas: int = 0
    failure_backend: str = DEFAULT_FAILURE_BACKEND
    filter_args: tuple[str, ...] = ()
    """Further names of arguments that are not shown, as FILTER_ARGS has them."""
    bind: str = _option(
        "WEB_BIND", "--bind", _bind,
        "address and port to listen on", DEFAULT_BIND,
    )  # fmt: skip
    users: str = _option(
        "WEB_USERS", "", str,
        "users as name:hash:role, separated by commas; `gresque web hash` prints one", "",
    )  # fmt: skip
    users_file: str = _option(
        "WEB_USERS_FILE", "--users-file", to_os,
        "file of users, one name:hash:role a line", "",
    )  # fmt: skip
    secret: str = _option(
        "WEB_SECRET", "", str,
        "key that signs the cookies; by default it is made of the users' hashes", "",
    )  # fmt: skip
    hosts: tuple[str, ...] = _option(
        "WEB_HOSTS", "--allow-host", _names,
        "host name by which browsers reach the dashboard; repeatable", (), repeatable=True,
    )  # fmt: skip
    prefix: str = _option(
        "WEB_PREFIX", "--prefix", _prefix,
        "path below which a proxy serves the dashboard, such as /gresque", "",
    )  # fmt: skip
    trust_proxy: bool = _option(
        "WEB_TRUST_PROXY", "--trust-proxy", switch,
        "believe X-Forwarded-For, -Proto, -Host and -Prefix, which one proxy in front sets", False,
        is_flag=True,
    )  # fmt: skip
    read_only: bool = _option(
        "WEB_READ_ONLY", "--read-only", switch,
        "refuse every action, whatever the role", False, is_flag=True,
    )  # fmt: skip

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.bind.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the address."""
        host = self.address[0]
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def all_shards(self) -> tuple[Shard, ...]:
        """The shards by number; at least one. Raises SettingsError."""
        return shards_of(self.redis_urls or (self.redis_url,), self.namespace, self.shards)

    def user_lines(self) -> list[str]:
        """`name:hash:role` of each user, in the order given. Raises SettingsError for a file that
        cannot be read."""
        lines = self.users.split(",")
        if self.users_file:
            try:
                lines += Path(self.users_file).read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeError) as error:
                raise SettingsError(f"cannot read the users: {error}") from None
        stripped = (line.partition("#")[0].strip() for line in lines)
        return [line for line in stripped if line]

    @classmethod
    def load(
        cls, flags: Mapping[str, Any], environ: Mapping[str, str], **given: Any
    ) -> WebSettings:
        """Flags over ENV over defaults; `given` are those that other settings decide. Raises
        SettingsError that names the flag or the variable."""
        values: dict[str, Any] = {}
        for name, option in WEB_OPTIONS.items():
            flag = flags.get(name)
            source, text = option.flags[:1], flag
            if flag in (None, ()):
                source, text = (option.env,), from_os(environ.get(option.env, "")) or None
            if text is None:
                continue
            if isinstance(text, tuple):
                text = ",".join(text)
            try:
                values[name] = text if isinstance(text, bool) else option.parse(text)
            except SettingsError as error:
                raise SettingsError(f"{source[0]}: {error}") from None
        return cls(**values, **given)


WEB_OPTIONS: dict[str, WebOption] = {
    each.name: each.metadata["option"] for each in fields(WebSettings) if "option" in each.metadata
}
