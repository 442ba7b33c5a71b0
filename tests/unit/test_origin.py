"""Which job a greenlet belongs to: in a patched process of its own."""

from __future__ import annotations

import pytest

from tests.support.programs import PATCHED, stem

PROGRAM = """
import threading, time
from concurrent.futures import ThreadPoolExecutor
import gevent, gevent.pool, greenlet
from gresque.worker.threads.origin import KEY, Origin, name_of, on_the_cpu, origin_of, root_of
import gc
class Thread(gevent.Greenlet):
    job = b"1", "q", b"{}"
    to_kill = None
    @property
    def spawn_tree_locals(self):
        return LOCALS
def look():
    global found, name, on_cpu
    me = gevent.getcurrent()
    found, name = origin_of(me), name_of(me)
    unborn = gevent.spawn(int)  # it is true already, and shows no frame
    on_cpu = on_the_cpu([unborn, *gc.get_objects()], root_of(me)) is me
def job():
    START
thread = Thread(job)
origin = Origin(thread, thread.job)
LOCALS = {KEY: origin}
thread.start(); thread.join(); gevent.sleep(0.1)
assert on_cpu
assert found is origin or found is None, found
assert found is None or found.runs
print(found is origin, name)
"""


@pytest.mark.parametrize(
    ("start", "known", "name"),
    [
        ("look()", True, "greenlet Thread"),
        ("gevent.spawn(look)", True, "greenlet Greenlet"),
        ("gevent.spawn(gevent.spawn_later, 0.01, look)", True, "greenlet Greenlet"),
        ("gevent.spawn_raw(look)", True, "greenlet TrackedRawGreenlet"),
        ("greenlet.greenlet(look).switch()", True, "greenlet greenlet"),
        ("gevent.pool.Pool(2).spawn(look)", True, "greenlet Greenlet"),
        ("threading.Thread(target=look, name='mine').start()", True, "thread 'mine'"),
        ("ThreadPoolExecutor(1).submit(look)", True, "thread 'ThreadPoolExecutor-0_0'"),
        ("gevent.get_hub().loop.run_callback(look)", False, "a callback of gevent's loop"),
    ],
)
def test_the_job_that_started_it(start: str, known: bool, name: str) -> None:
    ran = stem(PATCHED).run(PROGRAM.replace("START", start))
    assert (ran.stderr, ran.stdout) == ("", f"{known} {name}\n")
