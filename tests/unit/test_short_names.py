"""Short names, as they are shown and as they are typed."""

from __future__ import annotations

import pytest

from gresque.processes.short_names import (
    has_id,
    processes_named,
    short_id,
    short_process,
    short_worker,
)

WORKER = "vm:10:mail,bulk:2:4:100"
ONE, TWO = f"{WORKER}:11:1795485960660", f"{WORKER}:12:1795485960661"
OTHER = "vm2:10:mail:1:1:1:11:1795485960660"
ID = "019ab0d2c4f17c3e8a1b5d7e9f2c4a60"


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        (ONE, [ONE]),
        ("vm:11", [ONE]),
        ("vm:10", [ONE, TWO]),
        (WORKER, [ONE, TWO]),
        ("vm", [ONE, TWO]),
        ("vm2:11", [OTHER]),
        ("odd", ["odd"]),
        ("v", []),
        ("11", []),
    ],
)
def test_processes(target: str, meant: list[str]) -> None:
    assert processes_named([ONE, TWO, OTHER, "odd"], target) == meant


def test_what_is_shown_can_be_typed() -> None:
    assert processes_named([ONE, TWO, OTHER], short_process(ONE)) == [ONE]
    assert processes_named([ONE, TWO, OTHER], short_worker(WORKER)) == [ONE, TWO]
    assert has_id(ID, str(short_id(ID)))


def test_other_programs_names_stay_as_they_are() -> None:
    assert short_process("odd") == "odd"
    assert short_worker("vm:26136:bench") == "vm:26136:bench"
    assert short_id("id7") == "id7"
    assert short_id(None) is None


@pytest.mark.parametrize(
    ("job_id", "wanted", "is_it"),
    [
        (ID, ID, True),
        (ID, "9f2c4a60", True),
        (ID, "7e9f2c4a60", True),
        (ID, "f2c4a60", False),  # too short
        (ID, "019ab0d2c4f1", False),  # the beginning, which jobs of one millisecond share
        ("order-9f2c4a60", "9f2c4a60", False),
        ("id7", "id7", True),
        (7, "7", True),
    ],
)
def test_ids(job_id: object, wanted: str, is_it: bool) -> None:
    assert has_id(job_id, wanted) is is_it
