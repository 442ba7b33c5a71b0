"""Declaring this program's schedule entries in Redis."""

from __future__ import annotations

from gresque.client.declare_schedules import declare_schedules
from gresque.processes.declared_memory import DeclaredMemory, DeclaredSchedules
from gresque.schedule.declared import app_of, declared
from gresque.schedule.entry import Entry
from gresque.settings import Settings
from gresque.store.store import Store


def is_declared(memory: DeclaredMemory) -> bool:
    """Whether a process of this master has declared the entries that this process knows."""
    known = memory.read()
    return known.boot != 0 and known.digest == declared.digest()


def entries_of(settings: Settings) -> list[Entry]:
    """The entries that stand on the shard of these settings: each one on one shard, so that its
    ticks run once however many shards there are."""
    if not settings.shard_name:
        return list(declared)
    placement = settings.whole.placement()
    return [
        entry
        for entry in declared
        if placement.of_entry(entry.name, entry.queue, entry.unique[0] if entry.unique else "").name
        == settings.shard_name
    ]


def declare(store: Store, settings: Settings, memory: DeclaredMemory) -> None:
    """Write the entries that stand on this shard. Those of the master's first process count as its
    newest, and so do those of a process that knows others than were declared: it has loaded new
    code."""
    boot = memory.read().boot if is_declared(memory) else 0
    entries = entries_of(settings)
    boot = declare_schedules(
        store, app_of(settings.require), entries, boot, has_file=bool(settings.schedule)
    )
    # 1: there was nothing to declare.
    memory.write(DeclaredSchedules(boot or memory.read().boot or 1, declared.digest()))


def declare_once(settings: Settings, memory: DeclaredMemory) -> None:
    """In a worker process that has loaded the code itself. Raises redis-py's errors."""
    if is_declared(memory):
        return
    store = Store(settings.redis_url, settings.namespace)
    try:
        declare(store, settings, memory)
    finally:
        store.close()
