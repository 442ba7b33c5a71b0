"""The names of a worker and its processes in Redis."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from gresque.processes.fingerprint import container
from gresque.settings import Settings


def host() -> str:
    """This host's name in an id. Containers may have one name, and in each of them the master is
    pid 1, so within one the name goes on with four hex digits of the container."""
    name, namespace = socket.gethostname().replace(":", "~"), container()
    return f"{name}.{namespace}" if namespace else name


def worker_id(settings: Settings, master_pid: int) -> str:
    """The Ruby fork's id: `host:master_pid:queues:worker_count:thread_count:jobs_per_fork`.

    A colon in the queues or in the host's name becomes `~`, so that the id can be split.
    """
    return (
        f"{host()}:{master_pid}:{queues_in_id(settings)}:"
        f"{settings.worker_count}:{settings.thread_count}:{settings.jobs_per_fork}"
    )


def queues_in_id(settings: Settings) -> str:
    """The queue list in the id of a worker; empty where the id has none."""
    return "" if settings.queues is None else settings.queues.in_id


def process_id(worker: str, pid: int, born_ms: int) -> str:
    """A worker process: its pid may be given out again, so the time of its birth goes with it."""
    return f"{worker}:{pid}:{born_ms}"


@dataclass(frozen=True)
class WorkerName:
    """A worker id, read. Raises ValueError for an id of another format."""

    hostname: str
    master_pid: int
    queues: str
    worker_count: int
    thread_count: int
    jobs_per_fork: int

    @classmethod
    def parse(cls, text: str) -> WorkerName:
        hostname, pid, queues, workers, threads, jobs = text.split(":")
        return cls(hostname, int(pid), queues, int(workers), int(threads), int(jobs))


def master_pid_of(text: str) -> int:
    """The master's pid in the id of a worker of ours."""
    return WorkerName.parse(text).master_pid


def split_process_id(text: str) -> tuple[str, int]:
    """Worker id and pid of a process id."""
    worker, pid, _ = text.rsplit(":", 2)
    return worker, int(pid)


def worker_of(process: str) -> str:
    """The worker id in a process id; all of it when it is not of our format."""
    try:
        return split_process_id(process)[0]
    except ValueError:
        return process


def queues_of(process: str) -> str | None:
    """The queue list in a process id, as it stands there; None when it is not of our format."""
    try:
        return WorkerName.parse(split_process_id(process)[0]).queues
    except ValueError:
        return None
