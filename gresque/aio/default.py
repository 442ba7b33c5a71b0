"""The clients of the running loop, behind `job.aenqueue` and its like."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from gresque.aio.client import Client
from gresque.aio.twin import Twin
from gresque.client.default import default_client as blocking_default

if TYPE_CHECKING:
    import gresque.client.client as blocking

_Clients = WeakKeyDictionary["blocking.Client", Client]

_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients] = WeakKeyDictionary()
_adding = threading.Lock()


def default_client() -> Client:
    """The default client of the running loop, with the settings of `gresque.configure`."""
    return client_of(blocking_default())


def client_of(client: blocking.Client) -> Client:
    """The client of the running loop that has the settings of this one. Its connections are closed
    once the loop, or this client, is no more."""
    loop = asyncio.get_running_loop()
    with _adding:
        clients = _by_loop.setdefault(loop, _Clients())
        found = clients.get(client)
        if found is None:
            found = clients[client] = Client._of(Twin.of(client))
        return found
