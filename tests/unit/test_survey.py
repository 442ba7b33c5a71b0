"""What Sentinels and the nodes of a Cluster say of each other."""

from __future__ import annotations

from typing import Any

import pytest

from gresque.connection.search import Refusal
from gresque.connection.survey import SentinelAnswer, ask_sentinels, cluster_facts
from gresque.connection.urls import Address, endpoint

NODES = """\
aa 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-5460{moving}
bb 127.0.0.1:7002@17002 master - 0 1 2 connected 5461-10922
cc 127.0.0.1:7003@17003,three.example master,fail - 0 1 3 disconnected 10923-16383
dd 127.0.0.1:7004@17004 slave aa 0 1 1 connected
ee 127.0.0.1:7005@17005 master,fail? - 0 1 0 connected
"""


@pytest.mark.parametrize(
    ("moving", "said"),
    [
        ("", ""),
        (" [2409->-bb]", "to 127.0.0.1:7002"),
        (" [2409-<-cc]", "from three.example:7003"),
        (" [2409->-zz]", "to zz"),
        (" [17->-bb]", ""),
    ],
)
def test_a_cluster(moving: str, said: str) -> None:
    found = cluster_facts(NODES.replace("{moving}", moving), 2409)
    assert (found.slot, found.owner, found.primaries) == (2409, "127.0.0.1:7001", 3)
    assert found.down == ("three.example:7003",)
    assert found.moving == said


def test_a_reply_of_another_kind_says_nothing() -> None:
    found = cluster_facts("what is this\n", 7)
    assert (found.owner, found.primaries, found.down) == ("", 0, ())


class Line:
    def __init__(self, reply: Any) -> None:
        self.reply = reply
        self.closed = False

    def ask(self, *command: str) -> Any:
        assert command == ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    def close(self) -> None:
        self.closed = True


class Dialler:
    def __init__(self, replies: dict[str, Any]) -> None:
        self.lines = {host: Line(reply) for host, reply in replies.items()}

    def sentinel(self, address: Address, seconds: float) -> Line:
        line = self.lines[address[0]]
        if isinstance(line.reply, ConnectionRefusedError):
            raise line.reply
        return line

    def data(self, address: Address, seconds: float | None = None) -> Line:
        raise AssertionError("no server is asked")


def test_sentinels() -> None:
    dialler = Dialler(
        {
            "a": [b"10.0.0.1", b"6379"],
            "b": ConnectionRefusedError(111, "Connection refused"),
            "c": TimeoutError(),
            "d": None,
            "e": Refusal("NOAUTH Authentication required."),
        }
    )
    at = endpoint("redis+sentinel://a,b,c,d,e:17/main")
    assert ask_sentinels(dialler, at) == (
        SentinelAnswer("a:26379", "10.0.0.1:6379"),
        SentinelAnswer("b:26379", "", "Connection refused"),
        SentinelAnswer("c:26379", "", "no answer in time"),
        SentinelAnswer("d:26379", "", "it knows no primary main"),
        SentinelAnswer("e:17", "", "NOAUTH Authentication required."),
    )
    assert [host for host, line in dialler.lines.items() if line.closed] == ["a", "c", "d", "e"]
