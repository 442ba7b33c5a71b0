"""The parts of the hot path that cost.py takes out, as they stand in its text. Pure."""

from __future__ import annotations

Change = tuple[str, str]
"""A part of a text, and what stands there without it."""

THREAD_PARTS: dict[str, list[Change]] = {
    "decode the payload": [
        ("read = read_call if len(job[2]) <= MAX_PAYLOAD_BYTES else decode\n", "pass\n"),
        ("call = read(job[2])\n", "call = CALL\n"),
    ],
    "find the job's definition, refuse an unknown one": [
        ("definition = find(call.name)\n", "definition = DEFINITION\n"),
        ("if definition is None:\n", "if False:\n"),
    ],
    "look for a timeout": [("if definition.timeout_seconds is not None:", "if False:")],
    "look whether it has expired": [("if call.expires_at is not None and", "if False and")],
    "look for keyword arguments": [("elif type(args[-1]) is dict:", "elif False:")],
    "forget what an earlier job left in contextvars": [("self.gr_context = None ", "pass ")],
    "write down what runs, for the master": [("words[number] = word_of[job[0]]", "pass")],
    "call the job": [
        ("result = definition.call(args[0])", "result = None"),
    ],
    "read the clock, yield after 5 ms": [
        ("now = monotonic()", "now = turned"),
        ("if now - turned > TURN_SECONDS:", "if False:"),
    ],
    "know that it runs, for kills": [
        ("self.job = job\n", "pass\n"),
        ("self.job = None\n        except", "pass\n        except"),
    ],
    "wake another thread, or the cycle": [
        ("elif not pool.waking:\n            pool.wake_one()", "")
    ],
    "look whether each job is to be logged": [("if outcome.verbose:", "if False:")],
    "count it by class and queue": [
        ("if meter.queue is not job[1]:", "if False:"),
        ("meter.done += 1\n", "pass\n"),
    ],
    "count it and note its slot": [
        ("in_flight.done += 1\n", "pass\n"),
    ],
}

ANY_TURN: Change = ("if last < number - 1 or string.sub(mark, 1, 1) == '~' then", "if false then")
"""Where the state is not kept, each turn but the first would look like one after a gap."""

SCRIPT_PARTS: dict[str, list[Change]] = {
    "read the state: fencing, turns sent again": [
        ANY_TURN,
        ("local state = call('HGET', ledger, 'state')", "local state = '0 0 0 0 0 0'"),
        ("tonumber(A[1]), string.match(state, '^(%d+)(%S*)')", "tonumber(A[1]), 0, ''"),
    ],
    "be able to finish when memory is full": [("redis.pcall('HDEL', guarded, 'none')", "0")],
    "count for the whole system": [
        ("note('count', pcall('INCRBY', processed_stat, processed)", "note('', 0")
    ],
    "count for the worker": [
        ("note('count', pcall('INCRBY', own_processed, processed)", "note('', 0")
    ],
    "write the state: the totals that survive a kill": [
        ANY_TURN,
        ("call('HSET', ledger, 'state',\n", "do local _ = (\n"),
        ("  requeued .. ' ' .. retried)\n", "  requeued .. ' ' .. retried) end\n"),
    ],
    "write the ledger": [
        ("kept = pcall('HSET', ledger, unpack(fields, 1, f))", "kept = 0"),
    ],
    "tell the queue beside each payload": [
        ("fields[f + 2] = origin .. jobs[j]", "fields[f + 2] = jobs[j]")
    ],
}


def changed(text: str, changes: list[Change]) -> str | None:
    """The text without a part; None when the part is not there."""
    for there, instead in changes:
        if there not in text:
            return None
        text = text.replace(there, instead)
    return text
