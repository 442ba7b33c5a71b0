"""What a Redis URL says of the servers behind it, and what is wrong with one."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

import gresque
import gresque.aio
from gresque.cli.main import run
from gresque.connection.opening import Opener
from gresque.connection.topology import topology_of
from gresque.connection.urls import Endpoint, check_namespace, endpoint, hash_tag, mask
from gresque.errors import SettingsError
from gresque.settings import Settings
from gresque.web import create_app
from gresque.web.settings import WebSettings

CLUSTER = "redis+cluster://a"


def told(url: str) -> dict[str, Any]:
    found = endpoint(url)
    return {
        name: getattr(found, name)
        for name in ("kind", "hosts", "name", "db", "tls", "username", "password")
    }


@pytest.mark.parametrize(
    ("url", "kind", "hosts", "name", "db"),
    [
        ("redis://", "single", (("localhost", 6379),), "", 0),
        ("redis://h:1/2", "single", (("h", 1),), "", 2),
        ("redis://h?db=3", "single", (("h", 6379),), "", 3),
        ("unix:///run/x.sock?db=1", "single", (), "/run/x.sock", 1),
        ("embedded:///some/dir", "single", (), "/some/dir", 0),
        ("redis+sentinel://a/main", "sentinel", (("a", 26379),), "main", 0),
        (
            "redis+sentinel://a,b:1,[::1]:2/my-main.1/4",
            "sentinel", (("a", 26379), ("b", 1), ("::1", 2)), "my-main.1", 4,
        ),
        ("redis+sentinel://a/main/", "sentinel", (("a", 26379),), "main", 0),
        ("redis+sentinel://a/main?db=5", "sentinel", (("a", 26379),), "main", 5),
        ("redis+sentinel://a,a,b/m", "sentinel", (("a", 26379), ("b", 26379)), "m", 0),
        ("redis+cluster://a,b:7001", "cluster", (("a", 6379), ("b", 7001)), "", 0),
        ("redis+cluster://a/", "cluster", (("a", 6379),), "", 0),
    ],
)  # fmt: skip
def test_where_a_url_leads(url: str, kind: str, hosts: tuple[Any, ...], name: str, db: int) -> None:
    at = {"kind": kind, "hosts": hosts, "name": name, "db": db}
    assert told(url) == {**at, "tls": False, "username": "", "password": ""}


def test_users_passwords_and_options() -> None:
    found = endpoint(
        "rediss+sentinel://joe:se%40cret@a,b/main?sentinel_username=sue&sentinel_password=x%26y"
        "&sentinel_ssl=false&socket_timeout=3&ssl_cert_reqs=none"
    )
    assert (found.username, found.password) == ("joe", "se@cret")
    assert (found.tls, found.sentinel_tls) == (True, False)
    assert found.options["sentinel_username"] == "sue"
    assert found.options["sentinel_password"] == "x&y"
    assert found.options["socket_timeout"] == "3"
    assert endpoint("redis+cluster://:x@a").password == "x"
    assert endpoint("redis+cluster://a?username=u&password=p").username == "u"
    assert endpoint("rediss+cluster://a").tls
    assert endpoint("rediss+sentinel://a/m").sentinel_tls
    assert endpoint("redis+sentinel://a/m?sentinel_ssl=true&ssl_cert_reqs=none").sentinel_tls
    assert not endpoint("redis+sentinel://a/m").sentinel_tls


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis+sentinel://:x@a,b:1/main", "main (Sentinels a:26379,b:1)"),
        ("redis+cluster://u:x@a,[::1]", "Cluster a:6379,[::1]:6379"),
    ],
)
def test_where_it_is_in_messages(url: str, place: str) -> None:
    assert endpoint(url).place == place
    assert "'x'" not in repr(endpoint(url))


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("redis://a,b", r"several hosts; with Sentinels give redis\+sentinel://host1,host2"),
        ("redis://:x@a:1,b:2/0", r"with a Cluster redis\+cluster://host1,host2"),
        ("redis+sentinel://a,b", "name of the primary.* must follow the hosts, as NAME in"),
        ("redis+sentinel://a/", "as NAME in"),
        ("redis+sentinel://a/ma in", "as NAME in"),
        ("redis+sentinel://a/main/x", "the database is a number"),
        ("redis+sentinel://a:x/main", "hosts and ports cannot be read"),
        ("redis+sentinel://a:0/main", "hosts and ports cannot be read"),
        ("redis+sentinel://a:65536/main", "hosts and ports cannot be read"),
        ("redis+sentinel:///main", "hosts and ports cannot be read"),
        ("redis+sentinel://a,,b/main", "hosts and ports cannot be read"),
        ("redis+sentinel://:a/b@h/main", "percent-encode"),
        ("redis+sentinel://a/main?sentinel_ssl=maybe", "sentinel_ssl is true or false"),
        ("redis+sentinel://a/main?sentinel_kwargs=1", "sentinel_kwargs is not understood"),
        ("redis+sentinel://a/main?ssl_cert_reqs=none", r"for rediss\+sentinel://"),
        ("redis+cluster://a?ssl_cert_reqs=none", r"for rediss\+cluster://"),
        ("redis+cluster://a?sentinel_password=x", "sentinel_password is not understood"),
        ("redis+cluster://a/1", "a Cluster has no databases: drop what follows the hosts"),
        ("redis+cluster://a/0", "a Cluster has no databases"),
        ("redis+cluster://a?db=1", "drop the option db"),
        ("redis+cluster://", "such as redis\\+cluster://host1,host2"),
        ("sentinel://a/main", r"with Sentinels redis\+sentinel://"),
        ("cluster://a", r"with a Cluster redis\+cluster://"),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(url: str, cure: str) -> None:
    with pytest.raises(SettingsError, match=cure) as raised:
        endpoint(url)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis+sentinel://a,b:1/main/0", None),
        ("redis+sentinel://a,b:1", None),
        ("redis+cluster://a:1,[::1]:2", None),
        ("rediss+sentinel://a/m?sentinel_ssl=false&socket_timeout=5", None),
        ("redis+sentinel://joe:x@a,b/main", "redis+sentinel://joe:***@a,b/main"),
        (
            "redis+sentinel://a/m?sentinel_username=u&sentinel_password=x",
            "redis+sentinel://a/m?sentinel_username=***&sentinel_password=***",
        ),
        ("redis+sentinel://:x,y", "redis+sentinel://***"),
        ("redis://a,b", "redis://***"),
    ],
)
def test_what_is_shown_of_it(url: str, masked: str | None) -> None:
    assert mask(url) == (masked or url)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("{resque}", "resque"), ("a{b}c{d}", "b"), ("{resque:1}", "resque:1"), ("{a{b}", "a{b"),
        ("resque", ""), ("{}x{a}", ""), ("{a", ""), ("}a{", ""),
    ],
)  # fmt: skip
def test_the_tag_of_a_namespace(text: str, tag: str) -> None:
    """As in the specification of Redis Cluster."""
    assert hash_tag(text) == tag


def test_a_namespace_that_would_be_spread_is_refused_everywhere() -> None:
    cure = r"set RESQUE_NAMESPACE=\{resque\}$"
    environ = {"REDIS_URL": CLUSTER}
    with pytest.raises(SettingsError, match=f"^REDIS_URL: .*{cure}"):
        Settings.load({}, environ)
    with pytest.raises(SettingsError, match=r"=\{app\}$"):
        Settings.load({"namespace": "app"}, environ)
    assert Settings.load({"namespace": "{app}"}, environ).namespace == "{app}"
    for make in (
        lambda: gresque.Client(CLUSTER),
        lambda: gresque.aio.Client(CLUSTER),
        lambda: gresque.configure(CLUSTER),
        lambda: Opener(CLUSTER, "resque"),
        lambda: topology_of(CLUSTER, "resque"),
        lambda: check_namespace(CLUSTER, "re{}sque"),
        lambda: create_app(WebSettings(redis_url=CLUSTER)),
    ):
        with pytest.raises(SettingsError, match=cure):
            make()
    check_namespace("redis://a", "resque")
    check_namespace("redis+sentinel://a/main", "resque")
    with closing(gresque.Client(CLUSTER, "{resque}")) as client:
        assert client.namespace == "{resque}"


def test_the_command_line_says_it_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["queues"], ["work", "-q", "q"], ["check"], ["enqueue", "q", "Job"]):
        assert run([*arguments, "--redis", CLUSTER]) == 2
        captured = capsys.readouterr()
        assert "set RESQUE_NAMESPACE={resque}" in captured.err
        assert len(captured.err.splitlines()) == 1


def test_a_bad_value_of_redis_py_is_a_setting_that_is_wrong() -> None:
    for url in (
        "rediss+sentinel://a/m?ssl_min_version=x",
        "redis+sentinel://a/m?sentinel_ssl=true&ssl_min_version=x",
        "rediss+cluster://a?ssl_cert_reqs=nonsense",
    ):
        with pytest.raises(SettingsError):
            Opener(url, "{resque}")


def test_an_endpoint_is_a_value() -> None:
    assert isinstance(endpoint(CLUSTER), Endpoint)
    assert endpoint(CLUSTER) == endpoint(CLUSTER)
