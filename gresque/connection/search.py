"""Looking for the right one of several servers: what a search asks, and what it learns. Imports no
redis-py (see `topology`)."""

from __future__ import annotations

from typing import Any, Protocol

from gresque.connection.urls import Address

NO_ACCESS = ("NOAUTH", "WRONGPASS", "NOPERM")
_LASTING = (*NO_ACCESS, "ERR AUTH", "ERR invalid password")
"""How a server begins to say that the password is wrong, or a right is missing."""


class Refusal(Exception):
    """A server answered with an error: its text."""


class NoServer(Exception):
    """None of the servers of a URL can serve; the text says why, one by one."""


class Line(Protocol):
    """A connection that was just opened."""

    def ask(self, *command: str) -> Any:
        """The reply to a command, its strings as bytes. Raises Refusal and OSError."""

    def close(self) -> None: ...


class Dialler(Protocol):
    """Opens connections; `seconds` limit all of it, where given. Raises OSError."""

    def data(self, address: Address, seconds: float | None = None) -> Line: ...

    def sentinel(self, address: Address, seconds: float) -> Line: ...


class LastAddress:
    """The address of the server that a connection was last opened to: by this process, or by any
    of a master (`processes.last_address`)."""

    def __init__(self) -> None:
        self._address: Address | None = None

    def get(self) -> Address | None:
        return self._address

    def set(self, address: Address) -> None:
        self._address = address


class Failures:
    """Why the servers that were asked cannot serve."""

    def __init__(self) -> None:
        self._reasons: list[str] = []
        self._lasting: Refusal | None = None

    def note(self, server: str, reason: Exception | str) -> None:
        if isinstance(reason, TimeoutError):
            text = "does not answer in time"
        elif isinstance(reason, OSError):
            text = reason.strerror or str(reason)
        else:
            text = str(reason)
        self._reasons.append(f"{server}: {text or type(reason).__name__}")

    def note_of_data(self, server: str, error: Exception) -> None:
        """As `note`, of a server with data: what it refuses for good is the error."""
        if isinstance(error, Refusal) and str(error).startswith(_LASTING):
            self._lasting = error
        self.note(server, error)

    def error(self, what: str) -> Exception:
        return self._lasting or NoServer(f"{what}; {'; '.join(self._reasons)}")
