"""How long does a lookup wait beside 30 that hang at a name server that does not answer?

    python benchmarks/resolvers.py

gevent's default resolver asks the system's in native threads, of which a process has 10. c-ares
(GEVENT_RESOLVER=ares) needs no threads. For c-ares a name server of this program answers for one
name and keeps silent for the others. The system's resolver cannot be pointed at it without root:
its hanging lookups are native sleeps of 5 s, the first timeout of resolv.conf. One JSON line a run.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

HANGING = 30
HANGS_SECONDS = 5.0
RUNS = (
    ("default, 10 threads", {"GEVENT_RESOLVER": "thread"}, "10"),
    ("default, 100 threads", {"GEVENT_RESOLVER": "thread"}, "100"),
    ("c-ares", {"GEVENT_RESOLVER": "ares", "GEVENTARES_TIMEOUT": "5000"}, "10"),
)


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(look_up(int(sys.argv[1]))), flush=True)
        os._exit(0)  # without waiting for those that hang
    port = serve_names()
    for name, environment, threads in RUNS:
        ares = {"GEVENTARES_SERVERS": "127.0.0.1", "GEVENTARES_UDP_PORT": str(port)}
        ran = subprocess.run(
            [sys.executable, __file__, threads],
            env={**os.environ, **environment, **ares},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        print(json.dumps({"resolver": name, **json.loads(ran.stdout)}), flush=True)


def serve_names() -> int:
    """A name server that knows fine.example only, and says nothing about others; its port."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            query, sender = server.recvfrom(512)
            end = query.index(b"\0", 12) + 5  # of the question; options may follow
            if query[13:17] != b"fine" or query[end - 4 : end - 2] != b"\0\1":  # A records only
                continue
            head = query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0"
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("127.0.0.2")
            server.sendto(head + query[12:end] + answer, sender)

    threading.Thread(target=serve, daemon=True).start()
    return int(server.getsockname()[1])


def look_up(threads: int) -> dict[str, Any]:
    from gevent import monkey

    sleep = time.sleep
    monkey.patch_all()
    import _socket

    import gevent

    gevent.get_hub().threadpool.maxsize = threads
    native = _socket.getaddrinfo

    def system(name: Any, *arguments: Any, **options: Any) -> Any:
        if "hang" in str(name):
            sleep(HANGS_SECONDS)
        return native("127.0.0.2" if "fine" in str(name) else name, *arguments, **options)

    _socket.getaddrinfo = system
    for number in range(HANGING):
        gevent.spawn(socket.getaddrinfo, f"hang{number}.example", 80, socket.AF_INET)
    gevent.sleep(0.2)

    def timed(name: str) -> float:
        began = time.perf_counter()
        assert socket.getaddrinfo(name, 80, socket.AF_INET)
        return round(time.perf_counter() - began, 3)

    asked = {name: gevent.spawn(timed, name) for name in ("localhost", "fine.example")}
    return {"seconds": {name: greenlet.get() for name, greenlet in asked.items()}}


if __name__ == "__main__":
    main()
