"""The README says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gresque.cli.main import COMMANDS
from gresque.settings import OPTIONS

README = (Path(__file__).parents[2] / "README.md").read_text()
KEYS = (Path(__file__).parents[2] / "docs" / "keys.md").read_text()


def row_of(env: str) -> str:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| `{env}`")]
    return row


@pytest.mark.parametrize("name", OPTIONS)
def test_the_settings_table_has_every_name_and_default(name: str) -> None:
    option = OPTIONS[name]
    _, envs, flags, default, _, _ = re.split(r" ?\| ?", row_of(option.envs[0]))
    assert re.findall(r"`([^`]+)`", envs) == list(option.envs)
    assert re.findall(r"`([^`]+)`", flags) == list(option.flags)
    told = default.strip("` ")
    if option.default in (None, (), ""):
        assert told.startswith("none")
    elif isinstance(option.default, bool):
        assert told == ("on" if option.default else "off")
    elif isinstance(option.default, float):
        assert float(told) == option.default
    else:
        assert told == str(option.default)


def test_the_commands_of_the_readme_exist() -> None:
    used = set(re.findall(r"^gresque ([a-z-]+)", README, re.MULTILINE))
    assert used <= set(COMMANDS)
    assert used


def test_every_key_is_documented() -> None:
    from gresque.store.keys import Keys

    keys = Keys("resque")
    told = {re.sub(r"<[a-z]+>", "X", key) for key in re.findall(r"`(resque:[^`]+)`", KEYS)}
    made = {
        keys.queues, keys.queue("X"), keys.failed, keys.workers, keys.heartbeats, keys.processed,
        keys.failures, keys.worker_stat("processed", "X"), keys.worker_stat("failed", "X"),
        keys.worker_started("X"), keys.ledgers, keys.ledger("X"), keys.running("X"),
        keys.commands("X"), keys.answer("X"), keys.kills("X"), keys.failed_queues,
        keys.failed_list("X_failed"),
        keys.failed_sweep, keys.processes, keys.masters, keys.suspects, keys.recoveries,
        keys.producer("X"), keys.fenced, keys.listening("X"), keys.waiting("X"), keys.wake("X"),
        keys.maintenance, keys.vitals,
    }  # fmt: skip
    assert made == told
