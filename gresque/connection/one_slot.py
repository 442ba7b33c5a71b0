"""A Cluster, of which one node has all keys of a namespace."""

from __future__ import annotations

from gresque.connection.search import Dialler, Failures, LastAddress, Line, Refusal
from gresque.connection.urls import Address, Endpoint, shown

GUESS_SECONDS = 1.0
"""How long a node is given to take a connection and answer, while there are others to ask. One that
another node names is given the whole time of a reply."""

MOST_SEEN = 32

_ASKED = "queues"
"""A key that a namespace has as soon as there was a job in it: while its slot is moved key by key,
the old node refuses keys that are not there."""


class OneSlot:
    """The node of a Cluster that has the slot of the namespace: all its keys stand in one."""

    def __init__(self, at: Endpoint, namespace: str) -> None:
        self.last = LastAddress()
        self._key = ":".join((namespace, _ASKED))
        self._seeds = at.hosts
        self._seen: tuple[Address, ...] = ()

    def find(self, dialler: Dialler) -> Line:
        """A connection to that node. Asks a node for a key of the namespace: the right one answers,
        any other names it. First the node that was right last, then those that were seen, then
        those of the URL. Raises NoServer, and Refusal for a wrong password or right."""
        search = _Search(dialler, Failures())
        last = self.last.get()
        guesses = dict.fromkeys([*([last] if last else []), *self._seen, *self._seeds])
        limit = GUESS_SECONDS if len(guesses) > 1 else None
        for address in guesses:
            if address not in search.named and (line := self._try(search, address, limit)):
                return line
        late = [address for address in search.late if address not in search.named]
        if late and (line := self._try(search, late[0], None)):
            return line
        raise search.failures.error("no node serves the slot")

    def _try(self, search: _Search, address: Address, limit: float | None) -> Line | None:
        """Ask this node, and the one that it names."""
        line, moved_to = self._ask(search, address, limit)
        while moved_to is not None and moved_to not in search.named:
            search.named.add(moved_to)
            self._note(moved_to)
            address = moved_to
            line, moved_to = self._ask(search, address, None)
        if line is not None:
            self._note(address)
            self.last.set(address)
        return line

    def _ask(
        self, search: _Search, address: Address, limit: float | None
    ) -> tuple[Line | None, Address | None]:
        """The connection when it is the right node; else the address of the one that it names."""
        line = moved_to = None
        try:
            line = search.dialler.data(address, limit)
            line.ask("EXISTS", self._key)
            found, line = line, None
            return found, None
        except Refusal as error:
            moved_to = _moved_to(str(error), address[0])
            if moved_to is None or moved_to in search.named:
                search.failures.note_of_data(shown(address), error)
        except OSError as error:
            search.failures.note_of_data(shown(address), error)
            if limit is not None and isinstance(error, TimeoutError):
                search.late.append(address)
        finally:
            if line is not None:
                line.close()
        return None, moved_to

    def _note(self, address: Address) -> None:
        others = (each for each in self._seen if each != address)
        self._seen = (address, *others)[:MOST_SEEN]


class _Search:
    """What one search for a node has found so far."""

    def __init__(self, dialler: Dialler, failures: Failures) -> None:
        self.dialler = dialler
        self.failures = failures
        self.named = set[Address]()
        """Nodes that others have named, and that were asked."""
        self.late: list[Address] = []
        """Nodes that took too long for a guess."""


def _moved_to(refusal: str, host: str) -> Address | None:
    """The address in a MOVED. Without a host in it, that of the node that says so."""
    code, _, rest = refusal.partition(" ")
    named, colon, port = rest.rpartition(" ")[2].rpartition(":")
    if code != "MOVED" or not colon or not port.isdecimal():
        return None
    named = named.strip("[]")
    return (host if named in ("", "?") else named, int(port))
