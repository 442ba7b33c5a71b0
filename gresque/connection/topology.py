"""Which server a connection is opened to. No module above knows: each connection asks a topology
when it is opened, and never in between.

Imports no redis-py: the master of `gresque work --no-preload` calls this, and must stay unpatched
and small.
"""

from __future__ import annotations

from gresque.connection.one_slot import OneSlot
from gresque.connection.sentinels import Sentinels
from gresque.connection.urls import check_namespace, endpoint, shown


class Single:
    """One server at one address. A name in DNS that moves counts as one."""

    def __init__(self, url: str) -> None:
        self._url = url

    def resolve(self) -> str:
        """The URL of the server to open a connection to."""
        return resolve_url(self._url)


Topology = Single | Sentinels | OneSlot

_known: dict[tuple[str, str], Topology] = {}


def topology_of(url: str, namespace: str) -> Topology:
    """The topology that a REDIS_URL names: one for all connections of the process, which share what
    it has learnt. Raises SettingsError."""
    found = _known.get((url, namespace))
    if found is None:
        check_namespace(url, namespace)
        at = endpoint(url)
        if at.kind == "sentinel":
            found = Sentinels(at)
        elif at.kind == "cluster":
            found = OneSlot(at, namespace)
        else:
            found = Single(url)
        found = _known.setdefault((url, namespace), found)
    return found


def found_at(url: str, namespace: str) -> str:
    """`host:port` of the server to which a connection was opened last, where others name it:
    Sentinels, or the nodes of a Cluster. Empty for one server, and before a connection."""
    topology = topology_of(url, namespace)
    address = None if isinstance(topology, Single) else topology.last.get()
    return "" if address is None else shown(address)


def resolve_url(url: str) -> str:
    """The URL by which this process, and all that it forks, reach the server.

    `embedded://` starts a server, or joins the one that runs; other URLs stay. Raises
    SettingsError, and BootError for an embedded server that does not start.
    """
    if not url.startswith("embedded:"):
        return url
    from gresque.connection import embedded  # needs a package that other URLs do not need

    return embedded.resolve(url)
