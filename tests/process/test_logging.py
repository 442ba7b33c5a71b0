"""What jobs and their libraries log, in real workers."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from gresque.cli.main import run
from gresque.processes.tallies import WINDOW_SECONDS
from tests.process.support import ROOT, Bench, wait_for

OWN = ["app.jobs", "library.http", "Logs"]


def work(bench: Bench, *flags: str, **env: str) -> tuple[str, list[str]]:
    """Returns the job's id, and the lines that it wrote."""
    job_id = bench.client.enqueue_to("q", "Logs", "te\nxt")
    modules = ("-r", "tests.process.logging_jobs")
    master = bench.run(*modules, "-q", "q", "-t", "2", "--burst", *flags, **env)
    return str(job_id), master.log.splitlines()


def test_records_of_a_job_have_its_fields(bench: Bench) -> None:
    job_id, lines = work(bench)
    shown = [re.sub(r"^\S+Z (\w+ +\S+)\[\d+\] ", r"\1 ", line) for line in lines]
    shown = [line for line in shown if "gresque." not in line]
    job = f"[Logs {job_id} from q, attempt 1]"
    assert shown == [
        "INFO    app.jobs while imported",
        f"INFO    app.jobs {job} its own te",
        "    xt",
        f"WARNING library.http {job} of a library",
        f"INFO    library.http {job} in a native thread",
        f"WARNING Logs {job} by its logger",
        f"WARNING app.jobs {job} user's own",
        "printed",
        "WARNING app.jobs beside the job",
    ]


def test_as_json_they_are_fields(bench: Bench) -> None:
    failing_id = bench.client.enqueue_to("q", "Boom", "no")
    job_id, lines = work(bench, "--log-format", "json")
    records = {
        record["message"]: record
        for record in (json.loads(line) for line in lines if line != "printed")
    }
    fields = {"job_id": job_id, "job": "Logs", "queue": "q", "attempt": 1}
    for message in ("its own te\nxt", "of a library", "in a native thread", "by its logger"):
        record = records[message]
        assert {name: record.get(name) for name in fields} == fields
        assert record["worker"]
    assert records["by its logger"]["size"] == 3
    given = records["user's own"]
    assert (given["job_id"], given["queue"], given["job"]) == (job_id, "mine", 7)
    for message in ("while imported", "beside the job"):
        assert not fields.keys() & records[message].keys()
    assert "a debug record" not in records
    (failed,) = [record for record in records.values() if record.get("event") == "job_failed"]
    assert (failed["level"], failed["exception"]) == ("warning", "ValueError")
    assert failed["attempt"] == 1
    assert (failed["job_id"], failed["show"]) == (failing_id, f"gresque failed show {failing_id}")
    assert re.fullmatch(r"/.*/tests/process/jobs.py:\d+:in `boom'", failed["traceback"])


@pytest.mark.parametrize("preload", ["--preload", "--no-preload"])
def test_as_json_a_start_that_fails_is_a_record(bench: Bench, preload: str) -> None:
    master = bench.start("-r", "no_such_module", "-q", "q", "--log-format", "json", preload)
    assert master.wait() == 1
    records = [json.loads(line) for line in master.log.splitlines()]
    (failed,) = [record for record in records if record["event"] == "boot_failed"]
    assert "cannot import no_such_module" in failed["message"]


def test_debug_records_from_vv_on(bench: Bench) -> None:
    assert not any("a debug record" in line for line in work(bench, "-v")[1])
    assert any("a debug record" in line for line in work(bench, "-vv")[1])


@pytest.mark.parametrize(
    ("configure", "flags", "level"),
    [
        ("basicConfig", (), "WARNING"),
        ("basicConfig", ("--no-preload",), "WARNING"),
        ("dictConfig", (), "WARNING"),
        ("dictConfig in the job", (), "WARNING"),
        ("before_first_fork", (), "WARNING"),
        ("after_fork", (), "WARNING"),
        ("in the job", (), "INFO"),
    ],
    ids=lambda value: value if isinstance(value, str) else "".join(value) if value else "",
)
def test_an_application_that_configures_logging_is_left_alone(
    bench: Bench, configure: str, flags: tuple[str, ...], level: str
) -> None:
    bench.client.enqueue_to("q", "Boom", "no")
    _, lines = work(bench, "-v", *flags, CONFIGURE=configure)
    assert sum("gresque.job[" in line and "done in" in line for line in lines) == 1
    assert sum("gresque.job[" in line and "failed after" in line for line in lines) == 1
    shown = [line for line in lines if any(name in line for name in OWN)]
    shown = [line for line in shown if "while imported" not in line and "done in" not in line]
    info = ["own format: app.jobs its own te", "own format: library.http in a native thread"]
    warnings = [
        "own format: library.http of a library",
        "own format: Logs by its logger",
        "own format: app.jobs user's own",
        "own format: app.jobs beside the job",
    ]
    assert sorted(shown) == sorted(warnings + (info if level == "INFO" else []))
    assert any("gresque.master" in line and "stopped: " in line for line in lines)


@pytest.mark.parametrize("lives", [("-w", "2", "-t", "10", "-j", "200"), ()], ids=["long", "short"])
def test_equal_failures_are_a_backtrace_and_a_count(bench: Bench, lives: tuple[str, ...]) -> None:
    jobs = 1000 if lives else 20
    ids = {bench.client.enqueue_to("q", "Boom", "two\nlines") for _ in range(jobs)}
    began = time.monotonic()
    lines = bench.run("-q", "q", *lives, "--burst").log.splitlines()
    windows = 1 + (time.monotonic() - began) // WINDOW_SECONDS  # one, unless the machine is busy
    first = [number for number, line in enumerate(lines) if "failed after" in line]
    counts = [line for line in lines if "more like it" in line]
    assert len(first) <= 2 * windows  # both processes may fail at the same moment
    start = first[0]
    assert re.search(r" WARNING gresque.job\[\d+\] failed after .*: ValueError: two$", lines[start])
    assert lines[start + 1] == "    lines"
    assert re.fullmatch(r"      /.*/tests/process/jobs.py:\d+:in `boom'", lines[start + 2])
    shown = re.fullmatch(r"    gresque failed show (\w+)", lines[start + 3])
    assert shown
    assert shown[1] in ids
    counted = sum(int(re.search(r"… ([\d,]+) more", line)[1].replace(",", "")) for line in counts)
    assert counted == jobs - len(first)
    assert len(counts) <= 3 * windows
    assert re.search(
        r": Boom: ValueError at .*; the last one: gresque failed show \w{32}$", counts[-1]
    )
    assert run(["failed", "show", shown[1], "--redis", bench.redis_url]) == 0


def test_with_v_each_failure_has_a_line(bench: Bench) -> None:
    for _ in range(5):
        bench.client.enqueue_to("q", "Boom", "no")
    log = bench.run("-q", "q", "--burst", "-v", "-j", "10").log
    assert log.count("failed after") == 5
    assert log.count("in `boom'") == 1
    assert "more like it" not in log


def test_a_process_without_its_master_says_how_its_jobs_ended(bench: Bench) -> None:
    for number in range(20):
        bench.client.enqueue_to("q", "CountSlowly", str(number), 60)
    for _ in range(3):
        bench.client.enqueue_to("q", "LateBoom")
    master = bench.start("-q", "q", "-t", "25", "-j", "100", "-r", "tests.process.logging_jobs")
    wait_for(lambda: bench.begun() == 20)
    (worker,) = master.children()
    master.signal(signal.SIGKILL)
    wait_for(lambda: "the master is gone" in master.log)
    bench.redis.rpush("go", *"abc")
    wait_for(lambda: bench.stat("failed") == 3)
    worker.send_signal(signal.SIGTERM)
    wait_for(lambda: not worker.is_running())
    assert "20 × CountSlowly back in q" in master.log
    assert re.search(r"… 2 more like it in the last \d+ s: LateBoom: ValueError at", master.log)


@pytest.mark.parametrize(("flags", "lines"), [((), 0), (("-v",), 20)], ids=["plain", "v"])
def test_a_shutdown_sums_up_what_it_puts_back(
    bench: Bench, flags: tuple[str, ...], lines: int
) -> None:
    for number in range(20):
        bench.client.enqueue_to("q", "CountSlowly", str(number), 60)
    master = bench.start("-q", "q", "-w", "2", "-t", "10", "-j", "100", *flags)
    wait_for(lambda: bench.begun() == 20)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert master.log.count("cut short by a shutdown") == lines
    assert ("20 × CountSlowly back in q" in master.log) == (not lines)


@pytest.mark.parametrize("graceful", [False, True], ids=["plain", "graceful term"])
def test_a_drain_says_for_what_it_waits(bench: Bench, graceful: bool) -> None:
    for number in range(3):
        bench.client.enqueue_to("q", "CountSlowly", str(number), 60)
    bench.client.enqueue_to("q", "Behave", "sleep", 60)
    flags = ("--graceful-term",) if graceful else ()
    master = bench.start("-q", "q", "-w", "2", "-t", "10", "-j", "100", *flags)
    wait_for(lambda: bench.begun() == 3 and bench.redis.llen("started") == 1)
    master.signal(signal.SIGTERM if graceful else signal.SIGQUIT)
    cut = signal.SIGINT if graceful else signal.SIGTERM
    waits = r"waiting for 4 jobs since \d\d s: 3 × CountSlowly, 1 × Behave"
    wait_for(lambda: re.search(f"{waits}; {cut.name[3:]} puts them back", master.log))
    master.signal(signal.SIGCONT)
    master.signal(cut)
    assert master.wait() == 0
    assert "SIGCONT" not in master.log
    assert "3 × CountSlowly back in q" in master.log
    assert "crashed" not in master.log


def test_a_hup_says_for_what_it_waits(bench: Bench) -> None:
    for number in range(3):
        bench.client.enqueue_to("q", "CountSlowly", str(number), 60)
    master = bench.start("-q", "q", "-w", "1", "-t", "10", "-j", "100")
    wait_for(lambda: bench.begun() == 3)
    (old,) = bench.client.store.processes.ids()
    pid = int(old.split(":")[-2])
    master.signal(signal.SIGHUP)
    waits = r"waiting for 3 jobs since \d\d s: 3 × CountSlowly; in 1 process that is replaced"
    wait_for(lambda: re.search(f"{waits}: kill -TERM {pid} puts them back", master.log))
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: bench.begun() == 6)  # in its successor
    assert "crashed" not in master.log
    master.signal(signal.SIGTERM)
    assert master.wait() == 0


def test_a_cont_that_comes_with_a_term_is_not_reported(bench: Bench) -> None:
    """As from systemd, and `timeout`."""
    master = bench.start("-q", "q")
    wait_for(lambda: " started: " in master.log)
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGCONT):  # both wait
        master.signal(number)
    assert master.wait() == 0
    assert "SIGTERM: shutting down" in master.log
    assert "SIGCONT" not in master.log


def test_a_process_that_its_master_killed_has_not_crashed(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Behave", "immortal", False)
    master = bench.start("-q", "q", "-j", "10", RESQUE_TERM_TIMEOUT="1.2")
    wait_for(lambda: bench.redis.llen("started") == 1)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert re.search(r"worker process \d+ did not leave in time: SIGKILL", master.log)
    assert not re.search(r"worker process \d+ was killed", master.log)


def test_the_filter_of_the_docs(bench: Bench, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "logging.md").read_text()
    (recipe,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "own_logging.py").write_text(recipe)
    job_id = bench.client.enqueue_to("q", "Logs", "text")
    modules = ("-r", "own_logging", "-r", "tests.process.logging_jobs")
    log = bench.run(*modules, "-q", "q", "--burst", PYTHONPATH=str(tmp_path)).log
    assert re.search(rf"^[-\d]+ [:,\d]+ Logs {job_id} its own text$", log, re.MULTILINE)
    assert re.search(rf"^[-\d]+ [:,\d]+ Logs {job_id} in a native thread$", log, re.MULTILINE)
    assert re.search(r"^[-\d]+ [:,\d]+ None None beside the job$", log, re.MULTILINE)
    assert "app.jobs[" not in log.partition("started: ")[2]
