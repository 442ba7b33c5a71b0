"""How the ends of jobs are logged, by one process."""

from __future__ import annotations

from time import monotonic

import pytest

from gresque.processes.scoreboard import Scoreboard
from gresque.worker.threads.end_log import EndLog

GEVENT = [
    "src/gevent/_greenlet_primitives.py:65:in `SwitchOutGreenletWithLoop.switch'",
    "/venv/lib/python3.11/site-packages/gevent/hub.py:166:in `sleep'",
]
HERE, THERE = "/app/jobs.py:1:in `f'", "/app/jobs.py:2:in `f'"


def test_what_ends_in_a_wait_is_told_apart_by_the_frames_of_the_job(
    caplog: pytest.LogCaptureFixture,
) -> None:
    end_log = EndLog(Scoreboard(1, 1).rows[0].tallies)
    for number, frames in enumerate(([HERE], [THERE], [HERE], [])):
        raw = b'{"class":"jobs.f","args":[%d]}' % number
        trace = [*GEVENT, *frames]
        end_log.failed((b"", "web", raw), monotonic(), "JobTimeout", "over", trace, kept=True)
    shown = [vars(record)["traceback"] for record in caplog.records]
    assert shown == [HERE, THERE, "\n".join(GEVENT)]
