"""The stacks of greenlets, and what they wait on: in a patched process of its own."""

from __future__ import annotations

import pytest

from tests.support.programs import PATCHED, stem

PROGRAM = """
import gevent, socket, subprocess, threading, time, queue
from gresque.worker.native.stacks import _other_greenlets, _other_stack
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
pair, other = socket.socketpair()
lock = threading.Lock(); lock.acquire()
def job():
    {job}
waits = gevent.spawn(job)
root = gevent.get_hub().parent
def look():
    (found,) = [_other_stack(*each) for each in _other_greenlets(None, root) if each[0] is waits]
    return found
until = time.monotonic() + 60
while True:  # it may take a moment to come there
    gevent.sleep(0.05)
    found = look()
    if found.waits_on.startswith({waits_on!r}) or time.monotonic() > until:
        break
print(found.waits_on.replace(str(listener.getsockname()[1]), "PORT"))
print(found.stack[-1])
waits.kill()
"""


@pytest.mark.parametrize(
    ("job", "waits_on"),
    [
        ("time.sleep(60)", "sleep of 60 s"),
        ("gevent.sleep(70.5)", "sleep of 70.5 s"),
        ("client.recv(1)", "recv 127.0.0.1:PORT"),
        ("pair.recv(1)", "recv on a socket"),
        ("lock.acquire()", "a lock"),
        ("threading.Condition(lock).wait()", "a lock"),
        ("subprocess.run(['sleep', '60'])", "process "),
        ("gevent.event.Event().wait()", ""),
    ],
)
def test_what_a_greenlet_waits_on(job: str, waits_on: str) -> None:
    ran = stem(PATCHED).run(PROGRAM.format(job=job, waits_on=waits_on.partition("PORT")[0]))
    assert ran.returncode == 0, ran.stderr
    told, outermost = ran.stdout.splitlines()
    assert told.startswith(waits_on)
    assert bool(told) == bool(waits_on)
    assert outermost.endswith("in `job'")
