"""Short names of processes, workers and jobs: for narrow terminals, and to be typed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gresque.processes.identity import WorkerName, split_process_id

END_DIGITS = 8
"""Every short form of an id has this many digits of its end."""
_ID = re.compile("[0-9a-f]{32}")
_END_OF_ID = re.compile("[0-9a-f]{8,31}")


def short_process(process_id: str) -> str:
    """`host:pid` of a process; an id of another format as it is."""
    try:
        worker, pid = split_process_id(process_id)
        return f"{WorkerName.parse(worker).hostname}:{pid}"
    except ValueError:
        return process_id


def short_worker(worker_id: str) -> str:
    """`host:master_pid` of a worker; an id of another format as it is."""
    try:
        name = WorkerName.parse(worker_id)
    except ValueError:
        return worker_id
    return f"{name.hostname}:{name.master_pid}"


def processes_named(process_ids: Iterable[str], target: str) -> list[str]:
    """The processes that are meant by the id of one or its `host:pid`, by the id of a worker or its
    `host:pid`, or by a host."""
    return [
        each
        for each in process_ids
        if each == target or each.startswith(f"{target}:") or short_process(each) == target
    ]


def short_id(job_id: object) -> object:
    """The last digits of a job's id, which are random; an id of another form as it is."""
    is_long = isinstance(job_id, str) and _ID.fullmatch(job_id)
    return str(job_id)[-END_DIGITS:] if is_long else job_id


def is_end_of_id(text: str) -> bool:
    """Whether ids may end with it: 8 or more digits."""
    return bool(_END_OF_ID.fullmatch(text))


def has_id(job_id: object, wanted: str) -> bool:
    """Whether this is the id of a job, or ends with the 8 or more digits that `wanted` is."""
    found = str(job_id)
    if found == wanted:
        return True
    return bool(_ID.fullmatch(found) and is_end_of_id(wanted) and found.endswith(wanted))
