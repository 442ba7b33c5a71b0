"""Who calls a command."""

from __future__ import annotations

import getpass
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gresque.control.audit import By


def operator() -> By:
    """The caller of this command, for the log and the audit log: user@host."""
    from gresque.control.audit import By

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        user = str(os.getuid())
    return By(f"{user}@{socket.gethostname()}", "cli")
