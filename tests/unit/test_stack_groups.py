"""Equal stacks of many greenlets as one."""

from __future__ import annotations

from typing import Any

from gresque.cli.stack_groups import grouped, own_frames
from tests.support.views import OTHER, PROCESS

GEVENT = [
    "/v/lib/python3.11/site-packages/gevent/hub.py:166:in `sleep'",
    "/v/lib/python3.11/site-packages/gevent/_socketcommon.py:5:in `recv'",
]
MINE = ["/app/jobs.py:7:in `fetch'", "/app/gevent_jobs.py:9:in `run'"]


def greenlet(
    *, on_cpu: bool = False, waits_on: str | None = "a lock", stack: Any = (*GEVENT, *MINE),
    seconds: float | None = 1.0, job_class: str = "Fetch",
) -> dict[str, Any]:  # fmt: skip
    return {
        "name": f"{job_class}(1) 77 from web", "class": job_class, "on_cpu": on_cpu,
        "waits_on": waits_on, "stack": stack, "seconds": seconds,
    }  # fmt: skip


def test_frames_of_gevent_are_left_out() -> None:
    assert own_frames([*GEVENT, *MINE]) == MINE
    assert own_frames(GEVENT) == GEVENT, "of one that has no others"


def test_those_on_the_cpu_then_the_largest_group() -> None:
    other = ["/app/jobs.py:70:in `other'"]
    stacks = {
        PROCESS: [greenlet(seconds=200), greenlet(), greenlet(stack=other)],
        OTHER: [greenlet(job_class="Spin", on_cpu=True, waits_on=None), greenlet(seconds=None)],
        "silent": None,
    }
    assert list(grouped(stacks)) == [
        ("Spin(1) 77 from web, for 1.0 s, on the CPU, in vm:12", MINE),
        (
            "3 × Fetch in vm:11 (2), vm:12 (1), the longest for 3 min, waits on a lock",
            MINE,
        ),
        ("Fetch(1) 77 from web, for 1.0 s, waits on a lock, in vm:11", other),
    ]


def test_what_they_wait_on() -> None:
    waits = [f"recv 10.0.0.{number}:80" for number in (1, 1, 1, 2, 2, 3, 4, 5)]
    stacks: dict[str, list[dict[str, Any]] | None] = {
        PROCESS: [greenlet(waits_on=each, seconds=None) for each in waits]
    }
    ((title, _),) = grouped(stacks)
    assert title == (
        "8 × Fetch in vm:11, waits on recv 10.0.0.1:80 (3), recv 10.0.0.2:80 (2), "
        "recv 10.0.0.3:80 (1) and 2 more"
    )


def test_no_greenlets() -> None:
    assert list(grouped({PROCESS: [], OTHER: None})) == []
