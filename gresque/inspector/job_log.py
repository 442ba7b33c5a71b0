"""What a failed job has logged."""

from __future__ import annotations

import zlib

from gresque.store.store import Store

MOST_BYTES = 1 << 20


def read_job_log(store: Store, job_id: str) -> list[str]:
    """The last lines that this job logged before it failed, at most 200; empty where there are
    none, or no more: those of 10,000 jobs are kept, for 3 days. They are text of the job's own."""
    raw = store.metrics.log(job_id)
    if not raw:
        return []
    try:
        text = zlib.decompressobj().decompress(raw, MOST_BYTES)
    except zlib.error:
        return []
    return text.decode("utf-8", "replace").splitlines()
