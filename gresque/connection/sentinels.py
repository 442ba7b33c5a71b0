"""Sentinels, which know the primary of a set of servers by a name."""

from __future__ import annotations

from gresque.connection.search import NO_ACCESS, Dialler, Failures, LastAddress, Line, Refusal
from gresque.connection.urls import Address, Endpoint, shown

SENTINEL_SECONDS = 0.5
"""How long a Sentinel is given to take a connection and answer."""

PRIMARY_SECONDS = 2.0
"""The same for the server that they name. Until they promote a replica they name one that hangs: it
takes connections and answers nothing, and soon they are to be asked again."""


class Sentinels:
    """The primary that Sentinels know by a name."""

    def __init__(self, at: Endpoint) -> None:
        self.last = LastAddress()
        self._name = at.name
        self._order = at.hosts

    def find(self, dialler: Dialler) -> Line:
        """A connection to the primary. Asks the Sentinels one after the other, first the one that
        was right last, until one names a server that is a primary. Where none answers, the last
        primary may be it still. Raises NoServer, and Refusal for a wrong password or right."""
        failures, named = Failures(), set[Address]()
        answered = False
        for sentinel in self._order:
            try:
                address = self._ask(dialler, sentinel)
            except (OSError, Refusal) as error:
                failures.note(f"Sentinel {shown(sentinel)}", error)
                continue
            answered = True
            if address is None:
                failures.note(f"Sentinel {shown(sentinel)}", f"knows no primary {self._name}")
            elif address not in named:
                named.add(address)
                if (line := self._primary(dialler, address, failures)) is not None:
                    self._order = sentinel, *(each for each in self._order if each != sentinel)
                    return line
        last = None if answered else self.last.get()
        if last is not None and (line := self._primary(dialler, last, failures)) is not None:
            return line
        if not answered:
            raise failures.error("no Sentinel answers")
        if not named:
            raise failures.error(
                "no such primary: give the name of `sentinel monitor` at the end of the URL"
            )
        raise failures.error("the Sentinels name no primary that serves")

    def _ask(self, dialler: Dialler, sentinel: Address) -> Address | None:
        line = dialler.sentinel(sentinel, SENTINEL_SECONDS)
        try:
            reply = line.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
        except Refusal as error:
            if str(error).startswith(NO_ACCESS):
                raise Refusal(f"{error}; give sentinel_password in the URL") from None
            raise
        finally:
            line.close()
        return None if reply is None else (reply[0].decode(), int(reply[1]))

    def _primary(self, dialler: Dialler, address: Address, failures: Failures) -> Line | None:
        line = None
        try:
            line = dialler.data(address, PRIMARY_SECONDS)
            role = line.ask("ROLE")[0].decode()
            if role == "master":
                self.last.set(address)
                found, line = line, None
                return found
            failures.note(shown(address), f"is a {role} and no primary")
        except (OSError, Refusal) as error:
            failures.note_of_data(shown(address), error)
        finally:
            if line is not None:
                line.close()
        return None
