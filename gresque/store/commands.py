"""Commands to worker processes, their answers, and the state that they publish in Redis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from gresque.store.reads import AT_ONCE, Reads
from gresque.text import decoded, encoded

if TYPE_CHECKING:
    from gresque.store.server import Server

COMMAND_EXPIRY_SECONDS = 60
"""A command that no process takes expires, and so does an answer that is not read."""

NOBODY = "-"

KILLED_BY_ID = "an operator killed it by its id"
"""How the error of such a job ends, as the exception `DirtyExit`."""


class Command(NamedTuple):
    """`kill` with a job's id as the argument; `stacks`, with one or without; `pause`, `continue` or
    `recycle`. The token names the key of the answers; `by` is who wants it, for the log."""

    name: str
    token: str
    argument: str = ""
    by: str = ""

    def encode(self) -> bytes:
        by = "".join(self.by.split()) or NOBODY
        return encoded(f"{self.name} {self.token} {by} {self.argument}")

    @classmethod
    def parse(cls, raw: bytes) -> Command:
        name, token, by, argument = (*decoded(raw).split(" ", 3), "", "", "")[:4]
        return cls(name, token, argument, "" if by == NOBODY else by)


class Kill(NamedTuple):
    """A process that is asked to kill a job."""

    process_id: str
    token: str
    job_id: str
    by: str


class Fate(StrEnum):
    """The fate of a kill."""

    REQUESTED = "requested"
    DELIVERED = "delivered"  # the process has thrown it
    GUARDED = "guarded"  # so it has, but the job is in an uninterruptible section
    DEAD = "dead"
    ENDED = "ended"  # by itself, not by the kill
    REQUEUED = "requeued"  # a shutdown was first, or the process had given it back
    REPLACED = "replaced"  # it had to die with its process
    DIED_FAILED = "died_failed"  # its process died before it answered; the job failed
    DIED_REQUEUED = "died_requeued"  # the same, but it is back in its queue
    DIED_WITHOUT = "died_without"  # the same, but the process did not hold it any more
    LOST = "lost"  # there was no answer


_UNDER_WAY = (Fate.REQUESTED, Fate.DELIVERED, Fate.GUARDED)


class KillAnswer(msgspec.Struct, frozen=True):
    """The answer to a kill, by the process or by the one that recovers it. `in_failed` says that
    the job stands in the failed list."""

    fate: Fate
    in_failed: bool = False

    @property
    def is_final(self) -> bool:
        return self.fate not in _UNDER_WAY


class OrderAnswer(msgspec.Struct, frozen=True):
    """The answer of a process to an order: its state in words, the number of jobs that it holds,
    and whether the order is carried out; if not, a job blocks its loop, and it will be."""

    state: str
    held: int
    done: bool


class Blocking(msgspec.Struct):
    """The job in this slot keeps the others of its process from running, since then, and there."""

    slot: str
    since: float
    stack: list[str]


ON_THE_CPU = "the CPU"


class JobWait(NamedTuple):
    """A running job: what it waits on, `the CPU` for one that computes, empty where it is not
    known; its share of the CPU of its process in the last seconds, 0 to 1; the innermost frame of
    the user's code."""

    waits_on: str
    cpu_share: float
    frame: str


class Running(msgspec.Struct, omit_defaults=True):
    """The running jobs of a process: slot -> since when, of jobs that run for over a second. In
    Redis the times are epoch seconds by the server's clock. `frozen` is since when the whole
    process stands still without a job that is known to cause it. `waits` is read from a key of its
    own.

    As text it is one line, or more: each further one says what has changed, jobs that started and
    slots whose jobs have `ended`; `blocking` and `frozen` are as in the last line.
    """

    since: dict[str, float] = msgspec.field(default_factory=dict)
    blocking: Blocking | None = None
    frozen: float | None = None
    waits: dict[str, JobWait] = msgspec.field(default_factory=dict)
    ended: list[str] = msgspec.field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.since) or self.blocking is not None or self.frozen is not None

    def since_then(self, earlier: Running) -> Running | None:
        """What has changed; None for nothing."""
        if self == earlier:
            return None
        known = earlier.since
        started = {slot: t for slot, t in self.since.items() if known.get(slot) != t}
        ended = [slot for slot in known if slot not in self.since]
        return Running(started, self.blocking, self.frozen, ended=ended)

    def shifted(self, seconds: float) -> Running:
        """The same on a clock that is ahead by so much."""
        blocking = self.blocking
        if blocking is not None:
            blocking = Blocking(blocking.slot, blocking.since + seconds, blocking.stack)
        since = {slot: round(t + seconds, 3) for slot, t in self.since.items()}
        frozen = None if self.frozen is None else self.frozen + seconds
        return Running(since, blocking, frozen, ended=self.ended)

    def encode(self, *, always: bool = False) -> bytes:
        """One line. Empty for nothing, but `always`."""
        return msgspec.json.encode(self) if self or always else b""

    @classmethod
    def parse(cls, raw: bytes) -> Running:
        """Raises msgspec.MsgspecError for what is none."""
        first, *lines = raw.split(b"\n")
        found = msgspec.json.decode(first, type=cls)
        for change in msgspec.json.decode(b"[%b]" % b",".join(lines), type=list[Running]):
            for slot in change.ended:
                found.since.pop(slot, None)
            found.since |= change.since
            found.blocking, found.frozen = change.blocking, change.frozen
        return found


def encode_waits(waits: Mapping[str, JobWait]) -> bytes:
    """Slot -> the job in it."""
    return msgspec.json.encode(waits)


def parse_waits(raw: bytes | None) -> dict[str, JobWait]:
    """Empty where there are none, or another program wrote the key."""
    try:
        return {} if raw is None else _decode_waits(raw)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return {}


_decode_waits = msgspec.json.Decoder(dict[str, JobWait]).decode

WATCH_SECONDS = 10


class Commands:
    """The LIST of commands of each process, the kills that it is asked for, and the answers."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    def give(self, commands: Mapping[str, Command]) -> None:
        """Ask something of worker processes, in one round trip; a command expires when its process
        does not take it in time. The log names a process whose key is of another type; the others
        are asked."""
        pipeline = self._server.redis.pipeline(transaction=False)
        for process_id, command in commands.items():
            self._add(pipeline, process_id, command)
        replies = pipeline.execute(raise_on_error=False)
        for process_id, reply in zip(commands, replies[::2], strict=True):
            key = self._keys.commands(process_id)
            self._server.reply(None, key, reply, "this process gets no commands")

    def ask_kills(self, kills: Sequence[Kill], wait_seconds: float) -> None:
        """Ask processes to kill jobs, in one round trip for each 1,000; their answers are read for
        `wait_seconds` at most."""
        for start in range(0, len(kills), AT_ONCE):
            self._ask_some(
                kills[start : start + AT_ONCE], COMMAND_EXPIRY_SECONDS + int(wait_seconds)
            )

    def _ask_some(self, kills: Sequence[Kill], expiry_seconds: int) -> None:
        by_process = defaultdict[str, list[Kill]](list)
        for each in kills:
            by_process[each.process_id].append(each)
        pipeline = self._server.redis.pipeline(transaction=True)
        for process_id, some in by_process.items():
            key = encoded(self._keys.kills(process_id))
            ids: Any = {each.token: encoded(each.job_id) for each in some}
            pipeline.hset(key, mapping=ids)
            pipeline.expire(key, expiry_seconds)
            commands = [Command("kill", each.token, each.job_id, each.by) for each in some]
            self._add(pipeline, process_id, *commands)
        pipeline.execute()

    def _add(self, pipeline: Any, process_id: str, *commands: Command) -> None:
        key = encoded(self._keys.commands(process_id))
        pipeline.rpush(key, *[command.encode() for command in commands])
        pipeline.expire(key, COMMAND_EXPIRY_SECONDS)

    def watch(self) -> None:
        """Have processes publish what their jobs wait on, for WATCH_SECONDS: call it every few
        seconds while a viewer looks."""
        self._server.call("SET", self._keys.watch, "1", "EX", WATCH_SECONDS)

    def kills(self, process_id: str) -> dict[str, str]:
        """The kills that a process was asked for lately: token -> job id."""
        kills = self._server.read({}, "HGETALL", self._keys.kills(process_id))
        return {decoded(token): decoded(job_id) for token, job_id in kills.items()}

    def give_answer(self, token: str, answer: Any) -> None:
        """Answer in place of the process that was asked."""
        pipeline = self._server.redis.pipeline(transaction=True)
        key = encoded(self._keys.answer(token))
        pipeline.rpush(key, msgspec.json.encode(answer))
        pipeline.expire(key, COMMAND_EXPIRY_SECONDS)
        pipeline.execute()

    def answers(self, tokens: Sequence[str]) -> list[Any]:
        """The answers to the commands with these tokens, in one round trip; None while there is
        none."""
        reads = Reads(self._server)
        given = [reads.ask(None, "LINDEX", self._keys.answer(token), 0) for token in tokens]
        reads.run()
        return [None if each.value is None else msgspec.json.decode(each.value) for each in given]


def read_kill_answer(given: Sequence[bytes]) -> KillAnswer | None:
    """The state of a kill by its answers: the first one that is final, or else the last."""
    answers = [msgspec.json.decode(raw, type=KillAnswer) for raw in given]
    return next((each for each in answers if each.is_final), answers[-1] if answers else None)
