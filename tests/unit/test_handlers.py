"""Handlers that jobs set: in a patched process of its own."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.programs import PATCHED, stem

PROGRAM = """
import os, signal, sys, time
import gevent
from gresque.worker.handlers import guard_handlers, protect
guard_handlers(); guard_handlers()
class Late(Exception): pass
def handler(*args): raise Late
def hit(): os.kill(os.getpid(), signal.SIGALRM)
class Thread(gevent.Greenlet):
    job = None
assert signal.signal(signal.SIGALRM, handler) == signal.SIG_DFL
assert signal.getsignal(signal.SIGALRM) is handler
assert signal.signal(signal.SIGALRM, handler) is handler
"""
PROTECT = """
heard = []
hears = gevent.signal_handler(signal.SIGUSR1, heard.append, "USR1")
protect(
    gevent.get_hub(),
    gevent.getcurrent(),
    lambda it: isinstance(it, Thread) and not it.job,
    {signal.SIGUSR1: hears},
)
"""

CASES = {
    "the main greenlet": "hit(); time.sleep(0.01)",
    "the loop": "gevent.get_hub().loop.run_callback(hit); time.sleep(0.05)",
    "the loop, idle": "signal.setitimer(signal.ITIMER_REAL, 0.05); time.sleep(0.2)",
    "a thread between two jobs": "thread = Thread(hit); thread.start(); thread.get()",
}


def run(program: str) -> subprocess.CompletedProcess[str]:
    return stem(PATCHED).run(PROGRAM + program + "\nprint('on')")


@pytest.mark.parametrize("where", CASES)
def test_an_exception_of_a_handler_is_logged_with_the_remedy(where: str) -> None:
    ran = run(PROTECT + CASES[where])
    assert (ran.returncode, ran.stdout) == (0, "on\n"), ran.stderr
    assert "Late while no job had the CPU" in ran.stderr
    assert "timeout_seconds" in ran.stderr


def test_in_a_job_they_raise() -> None:
    job = "thread = Thread(hit); thread.job = 1; thread.start(); thread.join()\n"
    ran = run(PROTECT + job + "assert isinstance(thread.exception, Late)")
    assert (ran.returncode, ran.stdout) == (0, "on\n"), ran.stderr


def test_nothing_changes_outside_of_a_worker_process() -> None:
    assert "Late" in run(CASES["the main greenlet"]).stderr.splitlines()[-1]


@pytest.mark.parametrize("how", ["sys.exit", "handler"])
def test_a_greenlet_that_exits_ends_nothing_else(how: str) -> None:
    ran = run(f"{PROTECT}gevent.spawn({how}).join(); time.sleep(0.01)")
    assert (ran.returncode, ran.stdout) == (0, "on\n"), ran.stderr


@pytest.mark.parametrize("default", ["signal.SIG_DFL", "signal.getsignal(signal.SIGUSR1)", "0"])
def test_putting_the_default_back_puts_ours_back(default: str) -> None:
    ran = run(f"""{PROTECT}
before = {default}
signal.signal(signal.SIGUSR1, handler)
assert signal.signal(signal.SIGUSR1, before) is handler
assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
os.kill(os.getpid(), signal.SIGUSR1)
time.sleep(0.05)
assert heard == ["USR1"]
""")
    assert (ran.returncode, ran.stdout) == (0, "on\n"), ran.stderr
