"""Killing running jobs by their ids."""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gresque.control.audit import acting, some
from gresque.control.targets import Target, find_running
from gresque.logs import fields
from gresque.processes.short_names import short_process
from gresque.store.commands import Fate, Kill, KillAnswer, read_kill_answer
from gresque.store.processes import Held
from gresque.store.store import Store
from gresque.text import encoded

log = logging.getLogger("gresque.control")

FIRST_LOOK_SECONDS = 0.01
LONGEST_LOOK_SECONDS = 0.2
"""Answers are looked for at first soon, then less and less often: most jobs die at once."""

ASK_AGAIN_SECONDS = 3.0
GONE_SECONDS = 5.0
"""The process that recovers a dead one answers in its place, within this time."""

DOUBT_SECONDS = 0.5
"""A process may answer that a job has ended while it holds it: it has not read yet that it was
given the job, or has not settled its end. Then it is asked again after this time."""

HEAD = 100
"""Jobs at the head of a queue that are searched for one that was given back."""

OVER = {Fate.DEAD, Fate.REPLACED, Fate.ENDED, Fate.DIED_FAILED, Fate.DIED_WITHOUT}
"""The job does not run, and will not run again."""


class Killed(NamedTuple):
    """The last answer of a process."""

    process: str
    job_id: str
    answer: KillAnswer

    @property
    def is_over(self) -> bool:
        """Whether the job does not run, and will not run again."""
        return self.answer.fate in OVER


def kill(store: Store, job_id: str, *, by: str, wait_seconds: float) -> list[Killed]:
    """Kill the running job with this id, or with the only id that ends so; the others in its
    process go on. Raises AmbiguousId.

    One result for each process that holds such a job, as a foreign program may use an id twice;
    empty when none does. The process itself answers. After `wait_seconds` the last answers are
    returned as they are; 0 only asks. `by` is who wants it, for the log.
    """
    job_id, held = find_running(store, job_id, store.processes.ids())
    # One command to a process kills all jobs of it with this id.
    firsts = {each.process: each for each in reversed(held)}
    return kill_all(
        store, [Target(job_id, each) for each in firsts.values()], by=by, wait_seconds=wait_seconds
    )


def kill_all(
    store: Store,
    targets: Sequence[Target],
    *,
    by: str,
    wait_seconds: float,
    report: Callable[[Killed], object] = lambda killed: None,
) -> list[Killed]:
    """Kill jobs that are known with their slots. A thousand are asked for in one round trip, and
    each look at the answers takes as many as for one. Each new answer is passed to `report` as soon
    as it is there."""
    if not targets:
        return []
    asked = [_Asked(job_id, held) for job_id, held, _ in targets]
    for each in asked:
        process = each.held.process
        log.info(
            "%s asks process %s to kill job %s",
            by,
            process,
            each.job_id,
            extra=fields("kill_requested", job_id=each.job_id, process_id=process, by=by),
        )
    kills = _Kills(store, by, wait_seconds, report)
    with acting(store, by, "kill", _named(targets)) as act:
        try:
            kills.ask(asked)
            if wait_seconds:
                kills.wait(asked)
        finally:
            act.count, act.outcome = len(asked), outcomes(each.answer for each in asked)
    return [each.killed for each in asked]


def outcomes(answers: Iterable[KillAnswer]) -> str:
    """`811 dead, 1 ended`, for the audit log."""
    counts = Counter(str(answer.fate) for answer in answers)
    return ", ".join(f"{count:,} {fate}" for fate, count in counts.most_common())


def _named(targets: Sequence[Target]) -> str:
    return some([f"job {each.job_id} in {short_process(each.held.process)}" for each in targets])


@dataclass
class _Asked:
    """A process that is asked to kill a job which it holds."""

    job_id: str
    held: Held
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    answer: KillAnswer = KillAnswer(Fate.REQUESTED)
    gone_since: float | None = None
    doubted_since: float | None = None
    reported: KillAnswer = KillAnswer(Fate.REQUESTED)

    @property
    def killed(self) -> Killed:
        return Killed(self.held.process, self.job_id, self.answer)


class _Kills:
    """Kills under way, and the answers that are waited for."""

    def __init__(
        self, store: Store, by: str, wait_seconds: float, report: Callable[[Killed], object]
    ) -> None:
        self._report = report
        self._store = store
        self._by = by
        self._wait_seconds = wait_seconds

    def ask(self, asked: Sequence[_Asked]) -> None:
        self._store.commands.ask_kills(
            [Kill(each.held.process, each.token, each.job_id, self._by) for each in asked],
            self._wait_seconds,
        )

    def wait(self, asked: Sequence[_Asked]) -> None:
        """Until every answer is final, or the time is over."""
        begun = time.monotonic()
        ask_again = begun + ASK_AGAIN_SECONDS
        pause = FIRST_LOOK_SECONDS
        while left := [each for each in asked if not each.answer.is_final]:
            passed = time.monotonic() - begun
            if passed > self._wait_seconds:
                return
            time.sleep(min(pause, max(self._wait_seconds - passed, FIRST_LOOK_SECONDS)))
            pause = min(2 * pause, LONGEST_LOOK_SECONDS)
            self._look(left)
            for each in left:
                if each.answer != each.reported:
                    each.reported = each.answer
                    self._report(each.killed)
            if time.monotonic() > ask_again:
                # The process that took the command may have gone. Twice does no harm.
                ask_again += ASK_AGAIN_SECONDS
                self.ask([each for each in left if not each.answer.is_final])

    def _look(self, asked: Sequence[_Asked]) -> None:
        """Two round trips, or four while some jobs seem to have ended by themselves."""
        keys, reads = self._store.keys, self._store.reads()
        none: list[bytes] = []
        processes = dict.fromkeys(each.held.process for each in asked)
        # In this order: a process answers before it leaves.
        scores = {p: reads.ask(None, "ZSCORE", keys.ledgers, encoded(p)) for p in processes}
        replies = [reads.ask(none, "LRANGE", keys.answer(each.token), 0, -1) for each in asked]
        reads.run()
        answers = [
            read_kill_answer(reply.value) or each.answer
            for each, reply in zip(asked, replies, strict=True)
        ]
        gone = {process for process, score in scores.items() if score.value is None}
        fenced = self._store.processes.fenced_among([*gone])
        ended: list[_Asked] = []
        for each, answer in zip(asked, answers, strict=True):
            process = each.held.process
            if not answer.is_final and process in gone:
                answer = self._of_gone(each, process in fenced) or answer
            if answer.fate is Fate.ENDED:
                ended.append(each)
            else:
                each.answer = answer
        self._check_ended(ended)

    def _of_gone(self, asked: _Asked, is_fenced: bool) -> KillAnswer | None:
        """The answer of a process that has no ledger any more."""
        if not is_fenced:
            return KillAnswer(Fate.ENDED)  # it left before the kill reached it
        if asked.gone_since is None:
            asked.gone_since = time.monotonic()
        if time.monotonic() - asked.gone_since > GONE_SECONDS:
            return KillAnswer(Fate.LOST)
        return None

    def _check_ended(self, asked: Sequence[_Asked]) -> None:
        """Jobs that their processes do not hold, as they answered."""
        if not asked:
            return
        holds = self._store.processes.holds([each.held for each in asked])
        heads = self._store.queues.among_heads([each.held.entry for each in asked], HEAD)
        again: list[_Asked] = []
        now = time.monotonic()
        for each, is_held, is_back in zip(asked, holds, heads, strict=True):
            if is_held:
                if each.doubted_since is None:
                    each.doubted_since = now
                if now - each.doubted_since > DOUBT_SECONDS:
                    each.token, each.doubted_since = secrets.token_hex(8), now
                    again.append(each)
            else:
                each.answer = KillAnswer(Fate.REQUEUED if is_back else Fate.ENDED)
        if again:
            self.ask(again)
