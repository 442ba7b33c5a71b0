"""Which of several servers a connection is opened to; without any server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gresque.connection.one_slot import GUESS_SECONDS, OneSlot
from gresque.connection.search import NoServer, Refusal
from gresque.connection.sentinels import PRIMARY_SECONDS, SENTINEL_SECONDS, Sentinels
from gresque.connection.urls import Address, endpoint, shown

Behaviour = dict[str, Any]
"""The first word of a command -> the reply, or what is raised; CONNECT: what dialling raises."""


class Line:
    def __init__(self, net: Net, address: str) -> None:
        self.net = net
        self.address = address
        self.closed = False

    def ask(self, *command: str) -> Any:
        reply = self.net.servers[self.address].get(command[0])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self) -> None:
        self.closed = True


class Net:
    """Servers by their addresses. Where there is none, a connection is refused."""

    def __init__(self, servers: dict[str, Behaviour]) -> None:
        self.servers = servers
        self.dialled: list[tuple[str, float | None]] = []
        self.lines: list[Line] = []

    def data(self, address: Address, seconds: float | None = None) -> Line:
        at = shown(address)
        self.dialled.append((at, seconds))
        if at not in self.servers:
            raise ConnectionRefusedError(111, "Connection refused")
        if "CONNECT" in self.servers[at]:
            raise self.servers[at]["CONNECT"]
        self.lines.append(Line(self, at))
        return self.lines[-1]

    def sentinel(self, address: Address, seconds: float) -> Line:
        return self.data(address, seconds)

    def asked(self) -> list[str]:
        """The servers in the order in which they were asked, since the last call."""
        asked, self.dialled = [at for at, _ in self.dialled], []
        return asked

    def open_lines(self) -> list[str]:
        return [line.address for line in self.lines if not line.closed]


def names(address: str) -> Behaviour:
    host, _, port = address.rpartition(":")
    return {"SENTINEL": [host.encode(), port.encode()]}


PRIMARY: Behaviour = {"ROLE": [b"master", 1, []]}
REPLICA: Behaviour = {"ROLE": [b"slave", b"p", 1, b"connected", 1]}
HANGS: Behaviour = {"CONNECT": TimeoutError("timed out")}
SENTINELS = "redis+sentinel://s1:1,s2:1,s3:1/main"


def sentinels() -> Sentinels:
    return Sentinels(endpoint(SENTINELS))


def found(search: Callable[[Any], Any], net: Net) -> str:
    line: Line = search(net)
    assert net.open_lines().count(line.address) == 1
    line.close()
    assert net.open_lines() == [], "each other connection was closed"
    return line.address


def test_the_first_sentinel_that_is_right_is_first_the_next_time() -> None:
    net = Net({"s2:1": names("p:1"), "s3:1": names("p:1"), "p:1": PRIMARY})
    topology = sentinels()
    assert found(topology.find, net) == "p:1"
    assert net.asked() == ["s1:1", "s2:1", "p:1"]
    assert found(topology.find, net) == "p:1"
    assert net.asked() == ["s2:1", "p:1"]
    assert topology.last.get() == ("p", 1)


def test_each_sentinel_has_half_a_second() -> None:
    net = Net({"s1:1": HANGS, "s2:1": {"SENTINEL": TimeoutError()}, "s3:1": names("p:1")})
    net.servers["p:1"] = PRIMARY
    assert found(sentinels().find, net) == "p:1"
    assert net.dialled == [(f"s{n}:1", SENTINEL_SECONDS) for n in (1, 2, 3)] + [
        ("p:1", PRIMARY_SECONDS)
    ]


def test_a_primary_that_hangs_is_left_soon() -> None:
    """The Sentinels may name another one by then; until then the caller asks again."""
    net = Net({f"s{n}:1": names("p:1") for n in (1, 2, 3)} | {"p:1": {"ROLE": TimeoutError()}})
    topology = sentinels()
    with pytest.raises(NoServer, match="p:1: does not answer in time"):
        topology.find(net)
    assert net.dialled.count(("p:1", PRIMARY_SECONDS)) == 1
    net.servers |= {"s2:1": names("q:1"), "q:1": PRIMARY}
    assert found(topology.find, net) == "q:1"


def test_one_that_answers_with_an_old_address_is_not_believed() -> None:
    servers = {"s1:1": names("r:1"), "s2:1": names("r:1"), "s3:1": names("p:1")}
    net = Net({**servers, "r:1": REPLICA, "p:1": PRIMARY})
    assert found(sentinels().find, net) == "p:1"
    assert net.asked() == ["s1:1", "r:1", "s2:1", "s3:1", "p:1"], "a replica is asked once"


def test_where_no_sentinel_answers_the_last_primary_may_be_it_still() -> None:
    net = Net({"s1:1": names("p:1"), "p:1": PRIMARY})
    topology = sentinels()
    assert found(topology.find, net) == "p:1"
    del net.servers["s1:1"]
    net.asked()
    assert found(topology.find, net) == "p:1"
    assert net.asked() == ["s1:1", "s2:1", "s3:1", "p:1"]
    net.servers["p:1"] = REPLICA
    with pytest.raises(NoServer, match=r"^no Sentinel answers; .*p:1: is a slave and no primary"):
        topology.find(net)
    # One that answers knows better.
    net.servers |= {"p:1": PRIMARY, "s2:1": {"SENTINEL": None}}
    with pytest.raises(NoServer, match="no such primary"):
        topology.find(net)
    assert net.open_lines() == []


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        ({}, "^no Sentinel answers; Sentinel s1:1: Connection refused; Sentinel s2:1: "),
        ({"s2:1": {"SENTINEL": None}}, "give the name of `sentinel monitor` at the end of the URL"),
        ({"s1:1": names("p:1"), "p:1": HANGS}, "name no primary that serves; p:1: does not answer"),
        ({"s1:1": names("p:1"), "p:1": REPLICA}, "p:1: is a slave and no primary"),
        ({"s1:1": {"SENTINEL": Refusal("NOAUTH Auth")}}, "NOAUTH Auth; give sentinel_password in"),
    ],
)
def test_what_is_wrong_is_said_of_each(servers: dict[str, Behaviour], said: str) -> None:
    net = Net(servers)
    with pytest.raises(NoServer, match=said):
        sentinels().find(net)
    assert net.open_lines() == []


def test_a_wrong_password_of_the_primary_is_said_as_such() -> None:
    net = Net({"s1:1": names("p:1"), "p:1": {"ROLE": Refusal("WRONGPASS invalid")}})
    with pytest.raises(Refusal, match="WRONGPASS"):
        sentinels().find(net)


# A Cluster

RIGHT: Behaviour = {"EXISTS": 1}


def moved(address: str) -> Behaviour:
    return {"EXISTS": Refusal(f"MOVED 2409 {address}")}


def cluster(url: str = "redis+cluster://a:1,b:1") -> OneSlot:
    return OneSlot(endpoint(url), "{resque}")


def test_a_node_that_is_not_the_right_one_names_it() -> None:
    net = Net({"a:1": moved("c:1"), "b:1": moved("c:1"), "c:1": RIGHT})
    topology = cluster()
    assert found(topology.find, net) == "c:1"
    assert net.dialled == [("a:1", GUESS_SECONDS), ("c:1", None)]
    net.asked()
    assert found(topology.find, net) == "c:1"
    assert net.asked() == ["c:1"]
    net.servers |= {"c:1": moved("d:1"), "d:1": RIGHT}
    assert found(topology.find, net) == "d:1"
    assert net.asked() == ["c:1", "d:1"]
    assert topology.last.get() == ("d", 1)


def test_nodes_that_were_seen_are_asked_before_those_of_the_url() -> None:
    net = Net({"a:1": moved("c:1"), "c:1": moved("d:1"), "d:1": RIGHT})
    topology = cluster()
    assert found(topology.find, net) == "d:1"
    net.servers = {"b:1": moved("e:1"), "e:1": RIGHT}
    net.asked()
    assert found(topology.find, net) == "e:1"
    assert net.asked() == ["d:1", "c:1", "a:1", "b:1", "e:1"]


def test_a_node_that_hangs_is_left_after_a_second_and_given_more_when_it_is_named() -> None:
    net = Net({"a:1": {"EXISTS": TimeoutError()}, "b:1": moved("a:1")})
    with pytest.raises(NoServer, match="no node serves the slot; a:1: does not answer in time"):
        cluster().find(net)
    assert net.dialled == [("a:1", GUESS_SECONDS), ("b:1", GUESS_SECONDS), ("a:1", None)]


def test_the_only_node_is_given_its_time() -> None:
    net = Net({"a:1": RIGHT})
    assert found(cluster("redis+cluster://a:1").find, net) == "a:1"
    assert net.dialled == [("a:1", None)]


def test_a_slow_node_is_asked_again_when_no_other_is_left() -> None:
    net = Net({"a:1": {"EXISTS": TimeoutError()}})
    with pytest.raises(NoServer):
        cluster().find(net)
    assert net.dialled == [("a:1", GUESS_SECONDS), ("b:1", GUESS_SECONDS), ("a:1", None)]


def test_nodes_that_name_each_other_end_the_search() -> None:
    net = Net({"a:1": moved("b:1"), "b:1": moved("a:1")})
    with pytest.raises(NoServer):
        cluster().find(net)
    assert len(net.dialled) <= 4
    assert net.open_lines() == []


@pytest.mark.parametrize(
    ("named", "leads_to"),
    [(":7", "a:7"), ("?:7", "a:7"), ("fe80::1:7", "[fe80::1]:7"), ("[fe80::1]:7", "[fe80::1]:7")],
)
def test_the_address_of_a_move(named: str, leads_to: str) -> None:
    net = Net({"a:1": moved(named), leads_to: RIGHT})
    assert found(cluster().find, net) == leads_to


@pytest.mark.parametrize(
    "refusal", ["ASK 2409 c:1", "TRYAGAIN x", "CLUSTERDOWN Hash slot not served", "LOADING x"]
)
def test_a_node_that_cannot_serve_now_is_waited_for(refusal: str) -> None:
    net = Net({"a:1": {"EXISTS": Refusal(refusal)}, "c:1": RIGHT})
    with pytest.raises(NoServer, match=refusal):
        cluster().find(net)
    assert "c:1" not in net.asked()


def test_a_wrong_password_of_a_node_is_said_as_such() -> None:
    net = Net({"a:1": {"EXISTS": Refusal("NOAUTH Authentication required.")}})
    with pytest.raises(Refusal, match="NOAUTH"):
        cluster().find(net)
    net.servers["b:1"] = RIGHT
    assert found(cluster().find, net) == "b:1"
