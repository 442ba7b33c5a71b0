"""The proxy of a frozen worker process, in which no thread gets the GIL: it speaks to Redis."""

from __future__ import annotations

import logging
import signal
import time
from typing import Any

import gevent
import psutil
from gevent._hub_local import get_hub_if_exists
from redis.exceptions import RedisError

from gresque.connection.tracked import TrackedConnection
from gresque.errors import RedisUnavailable
from gresque.jobs import payload
from gresque.jobs.registry import registry
from gresque.logs import fields
from gresque.processes import stack_dump
from gresque.processes.scoreboard import GUARDED, KillReason, slot_in
from gresque.processes.spec import ProxySpec
from gresque.processes.title import Title
from gresque.store.commands import Blocking, Command, Fate, KillAnswer, Running
from gresque.store.keys import Keys
from gresque.store.ledger import LedgerEntry, parse_ledger
from gresque.worker.native.heartbeat import TICK_SECONDS, Heartbeat, WorkerRecord
from gresque.worker.threads.end_log import describe

log = logging.getLogger("gresque.proxy")


def stand_in(post: ProxySpec) -> None:
    """Stand in for the process until it lives again, or is dead. The master may end the proxy
    at any time: it holds nothing."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if get_hub_if_exists() is not None:
        gevent.reinit()
    FrozenProxy(post).serve()


class FrozenProxy:
    """Acts for a frozen process. Every second:

    1. it beats, so that the process does not count as dead: its master lives and looks after it;
    2. it publishes which job blocks the process, and where that one stands, or that the process
    stands still;
    3. it takes the process's commands. A job that is to be killed, or one over its timeout, cannot
    be reached: it is blamed, and the master kills the process.
    """

    def __init__(self, post: ProxySpec) -> None:
        self._post = post
        self._keys = Keys(post.settings.namespace)
        self._pulse = post.row.pulse
        self._process = psutil.Process(post.pid)
        self._ledger: dict[bytes, LedgerEntry] = {}
        self._running = Running()
        """The jobs that the process published last, on the monotonic clock."""
        Title(post.settings, "proxy").show(f"for process {post.pid}")
        self._find_blocker()
        self._heartbeat = Heartbeat(
            post.settings,
            post.process_id,
            WorkerRecord(post.worker_id, post.started, post.counted),
            running=lambda: self._running,
            run=self._run_command,
            each_second=lambda: None,
            lost=lambda: None,  # the process itself finds out, should it ever live again
        )

    def _find_blocker(self) -> None:
        """Read the dump, as far as it is written."""
        found = stack_dump.read(self._post.row.dump)
        self._stack = found.stack
        self._through = "what was started by " if found.thread is None else ""
        word = self._post.row.blocker(found)
        slot = slot_in(word)
        self._slot = b"" if slot is None else str(slot).encode()
        self._guarded = bool(word & GUARDED)

    def serve(self) -> None:
        settings = self._post.settings
        connection = TrackedConnection(settings.redis_url, settings.namespace)
        reported = False
        while self._is_needed():
            try:
                self._heartbeat.connect(connection)
                self._look_around(connection)
                if not reported:
                    self._report()
                    reported = True
                self._serve(connection)
            except (RedisError, RedisUnavailable, OSError) as error:
                log.debug("no heartbeat: %s", error, extra=fields("redis_away"))
                time.sleep(TICK_SECONDS)

    def _is_needed(self) -> bool:
        return self._post.row.pulse == self._pulse and self._process.is_running()

    def _look_around(self, connection: TrackedConnection) -> None:
        keys, process_id = self._keys, self._post.process_id
        ledger: dict[bytes, bytes] = connection.call(b"HGETALL", keys.ledger(process_id))
        self._ledger = parse_ledger(ledger, keys.list_prefixes).entries
        published = connection.call(b"GET", keys.running(process_id))
        seconds, microseconds = map(int, connection.call(b"TIME"))
        if published is not None:
            now = seconds + microseconds / 1_000_000
            self._running = Running.parse(published).shifted(time.monotonic() - now)
        if self._slot in self._ledger:
            self._note_blocker()
        elif self._running.blocking is None:
            self._running.frozen = self._post.still_since

    def _note_blocker(self) -> None:
        slot = self._slot.decode()
        self._running.since.setdefault(slot, self._post.still_since)
        self._running.blocking = Blocking(slot, self._post.still_since, list(self._stack))
        self._running.frozen = None

    def _look_again(self) -> None:
        """The master requests a second dump where the first one shows no job: the process had no
        CPU for it, or took the job up just after it."""
        if self._slot not in self._ledger:
            self._find_blocker()
            if self._slot in self._ledger:
                self._note_blocker()
                self._report()

    def _report(self) -> None:
        if self._post.settings.hub_blocked_seconds == 0:
            return
        entry = self._ledger.get(self._slot)
        by = "it is stopped, or hangs"
        if entry is not None:
            by = f"it hangs in {self._through}{self._describe(self._slot)}"
        seconds = time.monotonic() - self._post.still_since
        log.warning(
            "worker process %d is frozen for %.1f s: %s",
            self._post.pid,
            seconds,
            "\n    ".join([by, *self._stack]),
            extra=fields("process_frozen", child_pid=self._post.pid, seconds=seconds),
        )

    def _serve(self, connection: TrackedConnection) -> None:
        self._heartbeat.take_commands(connection)
        self._heartbeat.beat(connection)
        while self._is_needed():
            self._heartbeat.tick(connection)
            self._judge_the_overdue()
            self._look_again()
            self._heartbeat.wait(connection)

    def _judge_the_overdue(self) -> None:
        entry = self._ledger.get(self._slot)
        if entry is None:
            return
        definition = registry.of(entry.raw)
        limit = definition.timeout_seconds if definition is not None else None
        ran = time.monotonic() - self._running.since[self._slot.decode()]
        if limit is not None and ran > limit + (self._term_timeout if self._guarded else 0):
            self._blame(self._slot, KillReason.TIMED_OUT)

    @property
    def _term_timeout(self) -> float:
        return self._post.settings.term_timeout

    def _run_command(self, order: Command) -> Any:
        if order.name == "kill":
            for slot, entry in self._ledger.items():
                if str(payload.loads(entry.raw).get("id")) == order.argument:
                    log.info(
                        "asked to kill %s",
                        self._describe(slot),
                        extra=fields("kill_requested", job_id=order.argument, by=order.by),
                    )
                    self._blame(slot, KillReason.KILLED)
                    return KillAnswer(
                        Fate.DELIVERED
                    )  # the process that recovers it answers the rest
            return KillAnswer(Fate.ENDED)
        if order.name == "stacks":
            stacks = [self._standing(slot) for slot in sorted(self._ledger)]
            return [each for each in stacks if not order.argument or each["id"] == order.argument]
        return None

    def _blame(self, slot: bytes, kill_reason: KillReason) -> None:
        self._post.row.blame(int(slot), kill_reason)
        self._post.tell_master()

    def _standing(self, slot: bytes) -> dict[str, Any]:
        """As `stacks.as_dict`; only of the job that blocks it is known where it stands."""
        blamed, since = slot == self._slot, self._running.since.get(slot.decode())
        item = payload.loads(self._ledger[slot].raw)
        return {
            "name": self._describe(slot),
            "class": item.get("class"),
            "id": item.get("id"),
            "queue": self._queue(slot),
            "slot": slot.decode(),
            "seconds": None if since is None else round(time.monotonic() - since, 3),
            "on_cpu": blamed,
            "waits_on": None if blamed else "the process, which is frozen",
            "stack": self._stack if blamed else (),
        }

    def _describe(self, slot: bytes) -> str:
        return describe((slot, self._queue(slot), self._ledger[slot].raw))

    def _queue(self, slot: bytes) -> str:
        key = self._ledger[slot].queue_key.decode("utf-8", "surrogateescape")
        return self._keys.queue_of(key) or key
