"""What a master loads before it forks."""

from __future__ import annotations

import re
from pathlib import Path

import gresque.worker.turns as turns
from gresque.connection.scripts import script
from gresque.worker import boot

RARE = {"catch_up", "forget_suspects", "revive", "unregister_worker"}
"""After an outage, a death or the end of the master."""


def test_a_process_reads_no_file_of_a_script_that_its_turns_need() -> None:
    script.cache_clear()
    boot._import_what_children_would()
    files = Path(turns.__file__).parent.glob("*.py")
    named = {name for file in files for name in re.findall(r'script\("(\w+)"\)', file.read_text())}
    assert named > RARE
    before = script.cache_info().misses
    for name in named - RARE:
        script(name)
    assert script.cache_info().misses == before, "a process for one job would read it"
