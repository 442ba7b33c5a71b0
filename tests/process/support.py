"""Running real workers: `gresque work` as a user starts it, with real signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import redis

import gresque
from gresque.failure.entry import FailedEntry, decode_entry
from tests.support.programs import GRESQUE, WORK, Program, stem

JOBS = "tests.process.jobs"
ROOT = Path(__file__).parents[2]

HELD = """
local held = 0
for _, process in ipairs(redis.call('ZRANGE', KEYS[1] .. ':ledgers', 0, -1)) do
    for _, slot in ipairs(redis.call('HKEYS', KEYS[1] .. ':ledger:' .. process)) do
        if slot ~= 'state' then held = held + 1 end
    end
end
return held
"""


PATIENCE_SECONDS = 60.0
"""Far above what anything here takes on a busy machine: a test that waits this long has failed."""

SOON_SECONDS = 25.0
"""The same for what gresque would do every 30 s at the latest, had it missed what happened."""


def wait_for(condition: Callable[[], Any], seconds: float = SOON_SECONDS) -> Any:
    """The first true value of `condition()`; fails when there is none in this time."""
    asked = time.monotonic()
    deadline = asked + seconds
    while not (value := condition()):
        now = time.monotonic()
        if now > deadline:
            raise AssertionError(f"not within {seconds} s: {condition}")
        # To look for children is to read of all processes: most of the time is left to the worker.
        time.sleep(max(0.005, 3 * (now - asked)))
        asked = time.monotonic()
    return value


def role_of(child: psutil.Process) -> str:
    """By its title: `worker`, `proxy`, `maintenance`; `master` for a worker process that imports
    modules; `gone` for one that has ended, whether its master knows it or not.

    Every child has the title of its master until it sets its own. The maintenance process does so
    before it ever sleeps: one that sleeps under the title of its master is none."""

    def role() -> str | None:
        try:
            status = child.status()  # first: the title may come between the two
            found = re.search(r"gresque-\S+: (\w+)", " ".join(child.cmdline()))
        except psutil.NoSuchProcess:  # or a zombie
            return "gone"
        if status == psutil.STATUS_ZOMBIE:
            return "gone"
        if found and found[1] != "master":
            return found[1]
        return "master" if status in (psutil.STATUS_SLEEPING, psutil.STATUS_STOPPED) else None

    return str(wait_for(role, PATIENCE_SECONDS))


def shows(master: Master, state: str) -> bool:
    """Whether the titles of all processes that take jobs show this state. A signal to the master
    has reached them by then."""
    found = []
    for child in master.children():
        with suppress(psutil.NoSuchProcess):
            found.append(" ".join(child.cmdline()))
    return bool(found) and all(f": {state}" in title for title in found)


ACCOUNT = re.compile(
    r"stopped: reserved ([\d,]+) = ([\d,]+) done \+ ([\d,]+) failed "
    r"(?:\+ ([\d,]+) retried )?\+ ([\d,]+) requeued"
)


class Account(NamedTuple):
    """What a master logs as it stops."""

    reserved: int
    done: int
    failed: int
    retried: int
    requeued: int

    @property
    def ended(self) -> dict[str, int]:
        """How its jobs ended. How many went back before they started, and came again, is left out:
        it depends on how busy the machine is."""
        assert self.reserved == sum(self[1:])
        return {"done": self.done, "failed": self.failed, "retried": self.retried}


def account(log: str) -> Account:
    found = ACCOUNT.search(log)
    assert found is not None, log
    return Account(*(int((part or "0").replace(",", "")) for part in found.groups()))


def of_python(env: Mapping[str, str]) -> bool:
    """Whether this environment says to Python, gevent or the loader what ours does not."""
    given = {name for name, value in env.items() if os.environ.get(name) != value}
    given.discard("PYTHONUNBUFFERED")  # a stem for workers has it
    return any(name.startswith(("PYTHON", "GEVENT", "LD_")) for name in given)


def is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


class Master:
    """A running `gresque work`; its log is read when it has ended."""

    def __init__(
        self,
        redis_url: str,
        *arguments: str,
        wrap: Sequence[str] = (),
        fresh: bool = False,
        **env: str,
    ) -> None:
        """`wrap`: a command that runs this one, such as `unshare`. `fresh`: by a start of Python,
        as one without preloading, or with another environment for Python, is started anyway."""
        self.log_path = Path(env.pop("LOG_PATH"))
        command = ["work", "-r", JOBS, *arguments]
        env = {**os.environ, "REDIS_URL": redis_url, "PYTHONUNBUFFERED": "1", **env}
        self._is_wrapped = bool(wrap)
        fresh = fresh or bool(wrap) or "--no-preload" in command or of_python(env)
        self.process: subprocess.Popen[bytes] | Program
        with self.log_path.open("wb") as log:
            if fresh:
                self.process = subprocess.Popen(
                    [*wrap, sys.executable, "-m", "gresque", *command],
                    env=env, cwd=ROOT, stderr=log, stdout=log,
                )  # fmt: skip
            else:
                self.process = stem(WORK).start(
                    GRESQUE, str(ROOT), *command, env=env, stdout=log, stderr=log
                )

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def children(self) -> list[psutil.Process]:
        """Those that live, without the maintenance process."""
        no = ("maintenance", "gone")
        return [child for child in self.all_children() if role_of(child) not in no]

    def maintenance(self) -> list[psutil.Process]:
        return [child for child in self.all_children() if role_of(child) == "maintenance"]

    def all_children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def pids(self) -> set[int]:
        """Those of its children."""
        return {child.pid for child in self.children()}

    def kill_children(self) -> None:
        """SIGKILL to each that is still there: a trial may just be leaving."""
        for child in self.children():
            with suppress(psutil.NoSuchProcess):
                child.kill()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Its exit code."""
        try:
            return self.process.wait(seconds)
        except (subprocess.TimeoutExpired, TimeoutError):
            raise AssertionError(f"still running; {self._where_it_stands()}") from None

    def _where_it_stands(self) -> str:
        """Its children, and its log with the stacks of their jobs and native threads."""
        shown = []
        for child in self.all_children():
            with suppress(psutil.NoSuchProcess):
                title = " ".join(child.cmdline()).strip()
                shown.append(f"{child.pid} {child.status()} {child.cpu_times()[:2]} {title}")
        self.signal(signal.SIGTTIN)
        time.sleep(2)
        return "\n".join(["its children:", *shown, "its log:", self.log])

    def kill(self) -> None:
        """Whatever is left of it, and of its children."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)  # it must not replace them
            master = psutil.Process(self.process.pid)
            wait_for(lambda: master.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE))
            # In a container there are more below.
            members = master.children(recursive=self._is_wrapped)
            for member in (*members, master):
                with suppress(psutil.NoSuchProcess):
                    member.kill()
            self.process.wait()
            # One that still ends could write into the empty database of the next test.
            wait_for(lambda: not any(map(is_alive, members)))


class Bench:
    """What a process test works with: a Redis, a client, masters that end with the test."""

    def __init__(
        self,
        redis_url: str,
        redis_client: redis.Redis,
        directory: Path,
        namespace: str = "resque",
    ) -> None:
        self.redis_url = redis_url
        self.redis = redis_client
        self.namespace = namespace
        self.client = gresque.Client(redis_url, namespace)
        self._directory = directory
        self._masters: list[Master] = []

    def start(
        self, *arguments: str, wrap: Sequence[str] = (), fresh: bool = False, **env: str
    ) -> Master:
        log_path = str(self._directory / f"worker-{len(self._masters)}.log")
        env = {"RESQUE_NAMESPACE": self.namespace, "LOG_PATH": log_path, **env}
        master = Master(self.redis_url, *arguments, wrap=wrap, fresh=fresh, **env)
        self._masters.append(master)
        return master

    def run(self, *arguments: str, fresh: bool = False, **env: str) -> Master:
        """Run to its end; it must exit with 0."""
        master = self.start(*arguments, fresh=fresh, **env)
        code = master.wait()
        assert code == 0, master.log
        return master

    def push_raw(self, queue: str, *items: bytes) -> None:
        """As any other program would: SADD and RPUSH."""
        self.redis.sadd(f"{self.namespace}:queues", queue)
        for start in range(0, len(items), 1000):
            self.redis.rpush(f"{self.namespace}:queue:{queue}", *items[start : start + 1000])

    def stat(self, name: str) -> int:
        return int(self.redis.get(f"{self.namespace}:stat:{name}") or 0)

    def failed(self) -> list[FailedEntry]:
        return [decode_entry(raw) for raw in self.redis.lrange(f"{self.namespace}:failed", 0, -1)]

    def runs(self) -> dict[str, int]:
        """What the support job counted: argument -> how often it ran."""
        return {key.decode(): int(n) for key, n in self.redis.hgetall("runs").items()}

    def begun(self) -> int:
        """How often CountSlowly and its like have begun. Jobs that have not begun are put back when
        their process pauses or leaves."""
        return sum(map(int, self.redis.hvals("begun")))

    def let(self) -> None:
        """Let CountWhenLet end."""
        self.redis.set("let", 1)

    def held(self) -> int:
        """Jobs in all ledgers, at one moment: one process may settle its job and the next one
        reserve another between two looks, and that would count as two."""
        return int(self.redis.eval(HELD, 1, self.namespace))

    def keys(self) -> set[str]:
        """All but what is there for a while, with an expiry, for those who may come back."""
        keys = {key.decode() for key in self.redis.keys(f"{self.namespace}:*")}
        passing = (f"{self.namespace}:producer:", f"{self.namespace}:fenced")
        expiring = {key for key in keys if key.startswith(passing)}
        assert all(0 < self.redis.ttl(key) <= 30 * 86_400 for key in expiring)
        shown = tuple(f"{self.namespace}:{name}" for name in ("metrics:", "marks", "heads", "log"))
        charts = {key for key in keys if key.startswith(shown)}
        assert all(0 < self.redis.ttl(key) <= 3 * 86_400 for key in charts)
        return keys - expiring - charts

    def close(self) -> None:
        for master in self._masters:
            master.kill()
            print(master.log)  # pytest shows it when the test has failed
        self.client.close()
