"""systemd's notification protocol: datagrams with the status of a service (sd_notify(3))."""

from __future__ import annotations

import logging

from gresque.logs import fields
from gresque.unpatched import original

log = logging.getLogger("gresque.master")


class SdNotifier:
    """Sends datagrams to NOTIFY_SOCKET; does nothing where there is none."""

    def __init__(self, address: str) -> None:
        """`address`: a path, or @ and the name of an abstract socket; empty for no socket."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._complained = False

    def send(self, *assignments: str) -> bool:
        """Send `READY=1`, `STATUS=…`. False when it did not arrive, which is logged once."""
        if not self._address:
            return True
        # Not gevent's socket, which would make a hub. One for each datagram: no child inherits it.
        import socket

        datagrams = original("socket", "socket")(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            datagrams.setblocking(False)  # the master has children to look after
            datagrams.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            if not self._complained:
                log.warning(
                    "cannot notify systemd at %r: %s",
                    self._address,
                    error,
                    extra=fields("systemd_not_notified"),
                )
            self._complained = True
            return False
        finally:
            datagrams.close()
        self._complained = False
        return True
