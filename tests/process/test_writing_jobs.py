"""The examples of docs/writing-jobs.md run in a worker as they stand there."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from tests.process.support import ROOT, Bench

PAGE = (ROOT / "docs" / "writing-jobs.md").read_text("utf-8")


def test_the_examples_work(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "examples.py").write_text(
        "\n\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    )
    database = str(tmp_path / "visits.db")
    jobs = {
        "ask_with_asyncio": [(n,) for n in range(50)],
        "act_for": [(name,) for name in "abcdef"],
        "act_for_in_a_thread_local": [("a",), ("b",)],
        "compress": [("text",)],
        "count_visit": [(database, n) for n in range(30)],
        "try_for_a_moment": [()],
        "add_up": [(100_000,)],
    }
    declared = set(re.findall(r"@gresque\.job\(.*\)\ndef (\w+)", PAGE))
    assert declared == set(jobs)
    for name, calls in jobs.items():
        bench.client.enqueue_many(f"examples.{name}", calls, queue="q")
    master = bench.run("-r", "examples", "-q", "q", "-t", "20", "-j", "1000", "--burst",
                       PYTHONPATH=f"{tmp_path}:{ROOT}")  # fmt: skip
    assert bench.stat("failed") == 0, (master.log, bench.redis.lrange("resque:failed", 0, -1))
    assert bench.stat("processed") == sum(map(len, jobs.values()))
    with sqlite3.connect(database) as db:
        assert db.execute("SELECT count(*) FROM visits").fetchone() == (30,)
    db.close()
