"""Where the server is."""

from __future__ import annotations

import pytest

from gresque.connection.topology import Single, resolve_url, topology_of
from gresque.connection.urls import endpoint


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://:x@[::1]/0", "[::1]:6379"),
        ("redis://joe:x@host:6380/1", "host:6380"),
        ("rediss://:x@/0", "localhost:6379"),
        ("unix://:x@/run/x.sock?password=y", "/run/x.sock"),
        ("embedded:///some/dir", "/some/dir"),
        ("embedded://", "embedded://"),
    ],
)
def test_a_place_shows_no_password(url: str, place: str) -> None:
    assert endpoint(url).place == place


@pytest.mark.parametrize("url", ["redis://:x@host/0", "unix:///run/x.sock"])
def test_an_address_of_a_single_server_stays(url: str) -> None:
    topology = topology_of(url, "resque")
    assert isinstance(topology, Single)
    assert topology.resolve() == resolve_url(url) == url
