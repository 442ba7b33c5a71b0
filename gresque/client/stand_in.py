"""What stands in the place of Redis for all clients of this program, while a test wants that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gresque.client.client import Client
    from gresque.store.store import Store


class StandIn(Protocol):
    """Gives each client another store than its own."""

    def to_enqueue(self, client: Client) -> Store | None:
        """Where jobs go; None: they run at once in the caller."""
        ...

    def to_look(self, client: Client) -> Store:
        """What everything else is asked of."""
        ...


current: StandIn | None = None
"""None in production. Set and reset by `gresque.testing`."""
