"""A job module that gets a USR1 while its process comes up, and whose Redis answers at once."""

import os
import signal
from typing import Any

import gresque
from gresque.connection.raw import RawConnection
from gresque.unpatched import original

_send, _sleep = RawConnection.send, original("time", "sleep")


@gresque.after_fork
def tell() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    RawConnection.send = _send_and_rest  # type: ignore[method-assign]


def _send_and_rest(line: RawConnection, *command: Any) -> None:
    """The answer is there before anybody waits for it, so the loop does not turn for that."""
    _send(line, *command)
    _sleep(0.03)
