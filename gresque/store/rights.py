"""The least rights in Redis of each kind of user, read from the scripts and the code.

    python -m gresque.store.rights [NAMESPACE]

prints them as `ACL SETUSER` lines; docs/acl.md holds the same lines, and a test keeps it so.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gresque.connection.scripts import join
from gresque.settings import DEFAULT_NAMESPACE
from gresque.store.keys import Keys

PACKAGE = Path(__file__).parents[1]

_IN_LUA = re.compile(r"\(\s*'([A-Z]+)'\s*[,)]")
"""A command is the first argument of these functions, and no other function has their names."""
_COMMAND = re.compile(r"[A-Z]{3,}")
_SUBCOMMANDS = {"ACL", "CLIENT", "CONFIG"}
_PYTHON_NAMES = {"delete": "DEL"}
_SENDING = {
    "call", "send", "execute_command", "read", "_push_command",
    "ask", "number", "texts_of", "scores", "names", "_add",
}  # fmt: skip
"""Functions that are given a command by its name, those of `Reads` included."""
_NO_COMMANDS = {"execute", "execute_command", "close", "pipeline"}

CONNECTING = {
    "AUTH", "HELLO", "PING", "SELECT", "CLIENT|SETINFO", "CLIENT|SETNAME", "ROLE", "EXISTS",
}  # fmt: skip
"""The commands that redis-py sends by itself, by the options of the URL, and those by which a
connection sees that it is at the right server (`connection/sentinels.py`, `one_slot.py`)."""
TRANSACTION = {"MULTI", "EXEC"}
SCRIPTING = {"EVALSHA", "EVAL"}
TRACKING = {"connection/tracked.py", "store/result_waits.py"}
"""Modules to which the server announces changes."""
READING_SCRIPTS = {"EVALSHA_RO", "EVAL_RO"}


PARTS = {
    "audit": "AuditLog", "commands": "Commands", "counts": "Counts", "cron": "CronTable",
    "delayed": "Delayed",
    "enqueuer": "Enqueuer", "failed": "FailedLists",
    "failed_changes": "FailedChanges", "later": "Later", "locks": "Locks",
    "maintenance": "Maintenance", "metrics": "Metrics", "policies": "Policies",
    "processes": "Processes", "queues": "Queues", "recovery": "Recoveries",
    "scheduler": "Scheduler", "server": "Server",
    "stats": "Stats", "suspects": "Suspects", "tracks": "Tracks",
    "unique_enqueuer": "UniqueEnqueuer",
    "workers": "Workers",
}  # fmt: skip
"""The parts of the Store: attribute and module of `store/` -> class."""

ENQUEUING = ("enqueuer.push", "scheduler.schedule", "unique_enqueuer.enqueue")
SENT_BY = ("store/push_tries.py", "connection/replicas.py")
"""What all of them send with."""


class Role(NamedTuple):
    """A kind of user, and what it calls: modules that send commands themselves, and methods of the
    parts of the Store, such as "queues.size". `keys` are patterns."""

    name: str
    modules: tuple[str, ...]
    methods: tuple[str, ...]
    keys: tuple[str, ...]


WORKER_METHODS = (
    "suspects.forget", "suspects.queues", "suspects.return_to_queue", "suspects.return_unserved",
    "commands.give_answer", "commands.kills", "maintenance.has_lease", "maintenance.heartbeats",
    "maintenance.processes_of", "maintenance.processes_with_vitals", "maintenance.release_lease",
    "maintenance.renew_lease", "maintenance.take_lease", "maintenance.write_vitals",
    "cron.counts", "cron.due", "cron.entries", "cron.entry", "cron.first_after",
    "cron.forget_next", "cron.has_app",
    "failed.begin_sweep", "failed.count", "failed.end_sweep", "failed.names", "failed.page",
    "failed.trim_oldest",
    "counts.are_used", "counts.correct", "counts.held", "counts.queues",
    "cron.put", "cron.read", "cron.ruby", "cron.tick", "delayed.lock_holders",
    "delayed.due", "delayed.items", "delayed.move", "delayed.release_locks",
    "enqueuer.push", "later.bury", "later.count_strays", "later.due",
    "later.entry", "later.give_times", "later.promote", "later.strays",
    "policies.read", "processes.ids", "recovery.fence", "recovery.hand_over",
    "recovery.move", "recovery.remove", "scheduler.schedule", "server.now",
    "locks.apply", "locks.delayed_among", "locks.each", "locks.held_by", "locks.prolong",
    "locks.waiting_in", "metrics.add", "metrics.heads", "metrics.known_heads", "metrics.trim_logs",
    "metrics.write_depths", "metrics.write_heads",
    "queues.names", "stats.summary", "unique_enqueuer.enqueue", "workers.forget_threads",
    "workers.unregister",
)  # fmt: skip
READING_MODULES = (
    "store/reads.py", "inspector/processes.py", "inspector/running.py", "inspector/workers.py",
    "inspector/findings/delayed.py", "inspector/flow.py", "inspector/exported.py",
    "inspector/look.py", "inspector/findings/view.py", "inspector/findings/failing.py",
    "control/kill.py",
)  # fmt: skip
READING_METHODS = (
    "audit.page", "commands.answers", "cron.counts", "cron.entry", "cron.next_of", "cron.read",
    "delayed.items", "delayed.lists", "delayed.lock_holders",
    "failed.count", "failed.counts", "failed.names", "failed.page",
    "failed_changes.last", "failed_changes.look",
    "later.count", "later.each", "later.find", "later.page", "locks.find", "locks.some",
    "metrics.depths", "metrics.hashes", "metrics.log", "metrics.marks",
    "metrics.totals", "policies.read",
    "processes.find_held", "processes.held_by_queue", "processes.holds", "processes.ids",
    "processes.fenced_among", "queues.each", "queues.among_heads", "queues.names", "queues.peek",
    "queues.size",
    "queues.sizes", "recovery.log", "server.now", "stats.summary", "stats.summary_and_queues",
    "stats.values", "tracks.read",
)  # fmt: skip
OPERATING_METHODS = (
    "audit.add", "counts.correct", "counts.queues",
    "commands.ask_kills", "commands.give", "commands.watch",
    "cron.pause", "cron.put", "cron.remove_ruby",
    "cron.resume", "delayed.cancel", "delayed.put_off", "delayed.run_now",
    "later.cancel", "later.put_off", "later.run_now", "scheduler.schedule",
    "unique_enqueuer.enqueue", "failed.begin_sweep", "failed.end_sweep",
    "failed.append", "failed.remove", "failed.retry", "failed.rewrite", "failed.trim",
    "enqueuer.push", "suspects.return_to_queue",
    "metrics.mark",
    "policies.limit", "policies.pause", "policies.pause_all", "policies.unpause",
    "policies.unpause_all",
    "queues.clear", "queues.move", "queues.move_item", "queues.remove_items",
    "queues.first", "queues.remove_first",
    "tracks.write",
    "locks.apply", "locks.by_age", "locks.each", "locks.release", "locks.take_out",
    "workers.know", "workers.prune", "workers.unregister",
)  # fmt: skip


def roles(namespace: str = DEFAULT_NAMESPACE) -> tuple[Role, ...]:
    # Glob characters of a namespace stand for themselves.
    keys = Keys(re.sub(r"([\\*?\[\]])", r"\\\1", namespace))
    everything = keys.prefix + "*"
    return (
        Role(
            "worker",
            (
                "connection/tracked.py", "connection/opening.py", "worker/turns/notifier.py",
                "worker/turns/cycle.py", "worker/turns/session.py", "worker/turns/served_lists.py",
                "worker/turns/starter.py",
                "worker/frozen_proxy.py",
                "worker/native/heartbeat.py", "worker/native/lock_keeper.py",
                "worker/native/published_threads.py", "worker/native/running_report.py",
                "worker/turns/registration.py",
            ),
            WORKER_METHODS,
            (f"~{everything}",),
        ),
        Role(
            "producer",
            ("store/result_waits.py",),
            (*ENQUEUING, "tracks.read"),
            (
                f"~{keys.producer('*')}", f"~{keys.queues}", f"~{keys.queue('*')}",
                f"~{keys.later}", f"~{keys.later_jobs}", f"~{keys.unique('*')}",
                f"~{keys.job('*')}",
            ),
        ),
        Role("reader", READING_MODULES, READING_METHODS, (f"%R~{everything}",)),
        Role(
            "operator",
            READING_MODULES,
            READING_METHODS + OPERATING_METHODS,
            (f"~{everything}",),
        ),
    )  # fmt: skip


def commands(role: Role) -> list[str]:
    """The commands that the role needs, in the form in which ACL rules name them."""
    found = set(CONNECTING)
    if not TRACKING.isdisjoint(role.modules):
        found.add("CLIENT|TRACKING")  # it is sent as bytes, with the first packet
    for module in role.modules:
        found |= _of_module(module)
    for method in role.methods:
        found |= _of_method(method)
    return sorted(command.lower() for command in found)


def rules(role: Role) -> str:
    """One ACL SETUSER line."""
    allowed = " ".join(f"+{command}" for command in commands(role))
    keys = " ".join(role.keys)
    return f"ACL SETUSER gresque-{role.name} reset on >PASSWORD {keys} {allowed}"


def of_script(name: str) -> set[str]:
    """The commands that a Lua script calls, and those that run it."""
    text = join(name)
    code = "\n".join(line.partition("--")[0] for line in text.splitlines())
    return SCRIPTING | set(_IN_LUA.findall(code))


@cache
def _of_module(module: str) -> set[str]:
    return set(_of_tree(ast.parse((PACKAGE / module).read_text("utf-8"))))


@cache
def _of_method(name: str) -> set[str]:
    part = name.partition(".")[0]
    if name in ENQUEUING:  # all of them send as the enqueuer does
        modules = (f"store/{part}.py", *SENT_BY)
        return set[str]().union(*map(_of_module, modules))
    return set(_of_tree(_methods()[name], part))


@cache
def _methods() -> dict[str, ast.FunctionDef]:
    """Of the parts of the Store: "queues.size" -> the method."""
    return {
        f"{part}.{node.name}": node
        for part, name in PARTS.items()
        for each in ast.parse((PACKAGE / "store" / f"{part}.py").read_text("utf-8")).body
        if isinstance(each, ast.ClassDef) and each.name == name
        for node in each.body
        if isinstance(node, ast.FunctionDef)
    }


def _of_tree(tree: ast.AST, part: str = "") -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _of_call(node, part)


def _of_call(call: ast.Call, part: str) -> Iterator[str]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    words = [_word(argument) for argument in call.args]
    if name in ("script", "run_script", "pipeline_script"):
        yield from of_script(words[0])
    elif name == "read_by_script":
        yield from (of_script(words[0]) - SCRIPTING) | READING_SCRIPTS
    elif name in _SENDING:
        yield from _commands_among(words)
    elif name == "sendall":
        yield from _commands_among(word.strip() for word in words)
    elif name == "pipeline" and any(ast.unparse(k.value) == "True" for k in call.keywords):
        yield from TRANSACTION
    elif isinstance(call.func, ast.Attribute):
        owner = ast.unparse(call.func.value)
        if owner in ("pipeline", "self._server.redis", "server.redis") and name not in _NO_COMMANDS:
            yield _PYTHON_NAMES.get(name, name.upper())
        elif owner == "self" and f"{part}.{name}" in _methods():
            yield from _of_method(f"{part}.{name}")


def _commands_among(words: Iterable[str]) -> Iterator[str]:
    """The command is the first word in capitals; others are its arguments."""
    capitals = [word for word in words if _COMMAND.fullmatch(word)]
    if capitals:
        command, *rest = capitals
        yield f"{command}|{rest[0]}" if command in _SUBCOMMANDS else command


def _word(node: ast.expr) -> str:
    if not isinstance(node, ast.Constant):
        return ""
    value = node.value
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    for each in roles(*sys.argv[1:2]):
        print(rules(each))
