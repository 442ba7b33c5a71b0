"""A Redis URL that is shown, or is wrong in any way, gives no password away."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gresque
from gresque.cli.main import run
from gresque.connection.topology import resolve_url
from gresque.connection.tracked import TrackedConnection
from gresque.connection.urls import check, endpoint, mask, mask_within
from gresque.errors import GresqueError, RedisUnavailable, SettingsError
from gresque.settings import Settings
from tests.support.sayer import Sayer

FORMS = (
    "redis://:{}@127.0.0.1:1/0",
    "redis://joe:{}@127.0.0.1:1/0",
    "redis://:x{}@127.0.0.1:1",
    "redis://{}:@127.0.0.1:1/0",
    "redis://{}@127.0.0.1:1/0",
    "redis://{}@127.0.0.1:1/0?x=1",
    "redis://{}{}{}@127.0.0.1:1/0",
    "redis://:{}",
    "redis://joe:{}",
    "redis://:{}@127.0.0.1:1/0?socket_timeout=abc",
    "redis://:{}@127.0.0.1:1/0?socket_keepalive=x&ssl_foo={}",
    "redis://:{}@127.0.0.1:1/0?foo=1",
    "redis://:{}@127.0.0.1:1/0/{}",
    "redis://:{}@127.0.0.1:99999/0",
    "redis://:{}@127.0.0.1:1:1/0",
    "redis://:{}@[::1/0",
    "redis://:{}@[::1]:1/0?db=x",
    "redis://127.0.0.1:1/0?password={}&db=x",
    "redis://127.0.0.1:1/0?db=x&password={}",
    "redis://127.0.0.1:1/0?ssl_password={}",
    "redis://127.0.0.1:1/0?ssl_password={}&ssl_foo=1",
    "rediss://127.0.0.1:1/0?ssl_password={}&ssl_cert_reqs=nonsense",
    "redis:///0?username=u&password={}",
    "redis:///0?db={}",
    "redis:///0?socket_timeout={}",
    "unix://:{}@/nonexistent/sock",
    "unix:///nonexistent/sock?password={}",
    "embedded://:{}@/dir",
    "embedded:///dir?password={}",
    "embedded://{}",
    "redis:/:{}@127.0.0.1",
    "redis//:{}@127.0.0.1",
    "redis:{}@127.0.0.1",
    "REDIS://:{}@127.0.0.1:1",
    "redis+tls://:{}@127.0.0.1/0",
    "redis+sentinel://:{}@127.0.0.1/name",
    "redis+sentinel://joe:{}@127.0.0.1:1,127.0.0.1:2/name/0",
    "redis+sentinel://{}@127.0.0.1:1,127.0.0.1:2/name",
    "redis+sentinel://:{}@127.0.0.1:1,127.0.0.1:2",
    "redis+sentinel://127.0.0.1:1/name?sentinel_password={}",
    "redis+sentinel://127.0.0.1:1/name?sentinel_username=u&sentinel_password={}&foo=1",
    "rediss+sentinel://127.0.0.1:1/name?ssl_password={}&sentinel_ssl=false",
    "redis+sentinel://127.0.0.1:1/name/{}",
    "redis+cluster://:{}@127.0.0.1:1,127.0.0.1:2",
    "redis+cluster://joe:{}@127.0.0.1:1/0",
    "rediss+cluster://127.0.0.1:1,[::1]:2?password={}",
    "redis+cluster://127.0.0.1:1/{}",
    "redis+cluster://:{}",
    " redis://:{}@127.0.0.1",
    ":{}@127.0.0.1:1",
    "{}@127.0.0.1:1",
    "{}://127.0.0.1:1",
    "{}",
)
FORMS_WITH_USER = ("redis://{}:@", "redis://{}@", "redis://{}{}", "redis+sentinel://{}@")
SECRET = "qXzW7"
PASSWORDS = (
    "{0}", "{0}/{0}", "{0}#{0}", "{0}?{0}", "{0}@{0}", "{0}:{0}", "/{0}", "#{0}", "?{0}", "@{0}",
    "1/{0}", "1#{0}", "1?{0}", "1@{0}", "1:{0}", "{0}[", "[{0}]", "{0}&{0}", "x={0}", "{0}=x",
    "db={0}", "{0} {0}", "{0}%40", "%{0}", "{0}\n{0}", "{0}\u2100", "://{0}@{0}", "?password={0}@x",
)  # fmt: skip


def tracked(url: str) -> TrackedConnection:
    return TrackedConnection(url, "{resque}")


def said(url: str) -> Iterator[str]:
    """All that is said of a URL by whoever looks at it before it connects."""
    yield mask(url)
    for look in (check, lambda url: Settings.load({}, {"REDIS_URL": url}), tracked):
        try:
            if not url.startswith("embedded:") or look is not tracked:
                yield repr(look(url)) if look is not check else ""
        except GresqueError as error:
            yield "".join(traceback.format_exception(error))
    with suppress(SettingsError):
        check(url)
        yield endpoint(url).place
        yield repr(endpoint(url))
        if url.startswith("embedded:") and url != "embedded://":
            with told() as text:
                resolve_url(url)
            yield from text


@contextmanager
def told() -> Iterator[list[str]]:
    text: list[str] = []
    try:
        yield text
    except GresqueError as error:
        text.append(str(error))


@pytest.mark.parametrize("form", FORMS)
def test_no_password_is_shown(form: str) -> None:
    for password in PASSWORDS:
        if "embedded" in form and password.startswith("/"):
            continue  # a directory, and not a password
        text = password.format(SECRET)
        for url in {form.replace("{}", text), form.replace("{}", quote(text, safe=""))}:
            if form.endswith("{}") and "@" in url:
                continue  # what comes after an @ is where the server is
            if form.startswith(FORMS_WITH_USER) and ":" in text:
                continue  # what comes before a colon is the user
            for line in said(url):
                assert SECRET not in line, url


@settings(suppress_health_check=list(HealthCheck))
@given(form=st.sampled_from(FORMS), around=st.tuples(st.text(max_size=4), st.text(max_size=4)))
def test_no_password_of_any_kind_is_shown(form: str, around: tuple[str, str]) -> None:
    before, after = around
    if (before.startswith("/") and "embedded" in form) or (form.endswith("{}") and "@" in before):
        return
    for text in (before + SECRET + after, quote(before + SECRET + after, safe="")):
        if form.startswith(FORMS_WITH_USER) and ":" in text:
            continue  # what comes before a colon is the user
        for line in said(form.replace("{}", text)):
            assert SECRET not in line


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://localhost:6379/3?db=3&socket_timeout=5", None),
        ("rediss://db.example.com", None),
        ("redis://[::1]:6379/0", None),
        ("unix:///run/a b/redis.sock", None),
        ("embedded:///var/lib/jobs", None),
        ("embedded://", None),
        ("http://x", None),
        ("localhost:6379", None),
        ("redis://joe:x@h/0", "redis://joe:***@h/0"),
        ("redis://joe:se@cr/et@h:1/2", "redis://joe:***@h:1/2"),
        ("redis://token@h:1/2", "redis://***@h:1/2"),
        ("redis://token:@h:1/2", "redis://***@h:1/2"),
        ("redis://:x@h", "redis://:***@h"),
        ("unix:///x.sock?password=x&db=1", "unix:///x.sock?password=***&db=1"),
        ("redis://eyJhbGciOiJIUzI1NiIsInR5cCI6:x@h/0", "redis://***@h/0"),
        ("redis://h/0?username=joe&password=x", "redis://h/0?username=***&password=***"),
        ("redis://h/0#x", "redis://h/0#***"),
        ("hello", "***"),
    ],
)
def test_what_is_no_password_is_shown(url: str, masked: str | None) -> None:
    assert mask(url) == (masked or url)


def test_what_is_special_is_asked_for_encoded() -> None:
    for url in ("redis://:a/b@h:1", "redis://:a#b@h:1", "redis://:a?b@h:1"):
        with pytest.raises(SettingsError, match=r"percent-encode what is special in a password"):
            check(url)
    check("redis://:a%2Fb%23%3F@h:1")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        *(
            (f"redis://h?{name}={value}", f"give {name}=5")
            for name in ("socket_timeout", "socket_connect_timeout")
            for value in ("abc", "0", "-1", "nan", "inf", "1e400", "1e10")
        ),
        ("redis://h?ssl_cert_reqs=none", "rediss://"),
        ("unix:///run/x.sock?ssl_certfile=/x", "rediss://"),
        ("unix:///run/x.sock?socket_keepalive=1", "drop it"),
        ("redis://:\udcff@h", "not UTF-8; percent-encode"),
        ("unix://:p\udcff@/run/x.sock", "not UTF-8; percent-encode"),
        ("redis://h?client_name=\udcff", "not UTF-8; percent-encode"),
    ],
)
def test_an_option_that_cannot_work_is_named_with_the_remedy(url: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        check(url)


def test_options_that_work() -> None:
    check("redis://h?socket_timeout=0.5&socket_connect_timeout=3&socket_keepalive=1")
    check("redis://h?socket_timeout=")
    check("unix:///run/\udcff.sock")
    check("rediss://h?ssl_cert_reqs=none")


def test_the_remedy_is_not_taken_for_a_url() -> None:
    with pytest.raises(SettingsError) as raised:
        check("redis://localhost:99999/0")
    assert mask_within(f"--redis: {raised.value}") == f"--redis: {raised.value}"
    assert "secret" not in mask_within("Got an extra argument (redis:/:secret@h), %2F for /")


def test_a_password_that_ends_a_port_does_not_lead_elsewhere() -> None:
    """`redis://:12?x@host` is localhost:12 to urllib."""
    for password in ("12?x", "12#x", "12/x", "12/3"):
        with pytest.raises(SettingsError):
            check(f"redis://:{password}@host:6379/0")


def test_info_names_the_server_without_the_password(redis_url: str) -> None:
    with closing(gresque.Client(f"{redis_url}?db=0&client_name={SECRET}")) as client:
        (server,) = client.info()["servers"]
    assert SECRET not in server
    assert server.startswith(redis_url)


def test_a_server_that_quotes_the_login_is_not_quoted(tmp_path: Path) -> None:
    """One from before ACLs, or a proxy, names the arguments of a command that it does not know."""
    line = f"-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `u`, `{SECRET}`, "
    sayer = Sayer(tmp_path / "sayer.sock", line)
    url = f"{sayer.url}?username=u&password={SECRET}"
    client = gresque.Client(url, retry_seconds=0)
    calls = (
        lambda: client.size("q"),
        lambda: client.enqueue_to("q", "Job"),
        tracked(url).connect,
    )
    for call in calls:
        with pytest.raises((RedisUnavailable, redis.RedisError)) as raised:
            call()
        assert SECRET not in "".join(traceback.format_exception(raised.value))
        assert "unknown command" in str(raised.value)
    client.close()
    sayer.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ["queues", "redis://:{}@h/0"],
        ["queues", "--redis", "redis://:{}#@h/0"],
        ["queues", "--{}=redis://:{}@h/0"],
        ["work", "-q", "q", "-w", "redis://:{}@h/0"],
        ["check", "--interval", "redis://u:{}@h/0"],
    ],
)
def test_the_command_line_does_not_echo_it(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([argument.replace("{}", SECRET) for argument in arguments[:]]) == 2
    captured = capsys.readouterr()
    assert f":{SECRET}" not in captured.out + captured.err
