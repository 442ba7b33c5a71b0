"""Jobs that fork while processes, masters and the server are killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_forking_jobs_among_kills() -> None:
    """Exits with 1 when a job was lost, or when more ran twice than were in flight."""
    ran = subprocess.run(
        [sys.executable, "benchmarks/chaos.py", "--forks", "0.1", "--for", "60"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["lost"] == 0
    assert result["jobs_that_fork"] > 100
