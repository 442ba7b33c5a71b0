"""The fixtures, in runs of pytest as a project has them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

JOBS = """
import gresque

@gresque.job(queue="q")
def note(number, fail=False):
    print(f"note {number}")
    if fail:
        raise OSError("no")
"""
SAME_NAMES = """
import gresque, pytest
from jobs_of_plugin import note

@pytest.mark.parametrize("number", range({tests}))
def test_it(number, gresque_redis):
    assert gresque.queues() == [] and gresque.delayed_count() == 0
    client = gresque.Client("redis://nowhere.invalid")
    client.enqueue(note, number)
    note.enqueue_in(60, number)
    note.enqueue_unique(number)
    assert [job.args for job in gresque_redis] == [(number,)] * 3
    gresque_redis.assert_enqueued(note, number, times=3)
    assert gresque_redis.namespace == gresque_redis.environment["RESQUE_NAMESPACE"]
"""
WORKED = """
import gresque
from jobs_of_plugin import note

def test_it(gresque_worker):
    note.enqueue(1, fail=True)
    assert "note 1" in gresque_worker().output
    assert gresque.info()["failed"] == 1
    assert gresque.info()["failed"] == 0, "shown with the output"

def test_flags(gresque_worker):
    gresque_worker("--threads", "none")

def test_time(gresque_worker):
    gresque_worker(timeout_seconds=0.01)
"""


def run(tmp_path: Path, test: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run a test file of a project that uses gresque."""
    (tmp_path / "jobs_of_plugin.py").write_text(JOBS)
    (tmp_path / "test_plugin.py").write_text(test)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *flags],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


UNITTEST = """
import unittest
from gresque.testing import FakeJobsMixin
from jobs_of_plugin import note

class Test(FakeJobsMixin, unittest.TestCase):
    def test_it(self):
        note.enqueue(1)
        self.jobs.assert_enqueued(note, 1)
"""


def test_pytest_finds_the_plugin() -> None:
    (plugin,) = entry_points(group="pytest11", name="gresque")
    assert plugin.value == "gresque.testing.plugin"


def test_the_plugin_loads_nothing_of_gresque() -> None:
    program = (
        "import sys, pytest; before = {*sys.modules}; import gresque.testing.plugin\n"
        "print(*sorted({*sys.modules} - before))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    expected = "gresque gresque.testing gresque.testing.plugin gresque.version\n"
    assert (ran.stdout, ran.stderr) == (expected, "")


def test_tests_do_not_see_the_jobs_of_others(tmp_path: Path) -> None:
    ran = run(tmp_path, SAME_NAMES.format(tests=12), "-n", "2")
    assert "12 passed" in ran.stdout, ran.stdout + ran.stderr


def test_unittest_without_pytest_is_not_warned(tmp_path: Path) -> None:
    (tmp_path / "jobs_of_plugin.py").write_text(JOBS)
    (tmp_path / "test_it.py").write_text(UNITTEST)
    command = [sys.executable, "-W", "error", "-m", "unittest", "test_it"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert "Ran 1 test" in ran.stderr


def test_a_failed_test_shows_the_output_of_its_worker(tmp_path: Path) -> None:
    ran = run(tmp_path, WORKED, "-p", "no:xdist")
    assert "3 failed" in ran.stdout, ran.stdout + ran.stderr
    assert "Captured gresque work call" in ran.stdout
    assert "note 1" in ran.stdout.partition("Captured gresque work call")[2]
    assert "WorkerFailed: the worker ended with 2" in ran.stdout
    assert "WorkerFailed: the worker had not emptied the queues after 0.01 s" in ran.stdout
