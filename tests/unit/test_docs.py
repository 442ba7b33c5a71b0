"""The README and the pages of docs/ say what the code does."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

import gresque
from gresque.cli.main import COMMANDS
from gresque.settings import OPTIONS, Systemd

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
KEYS = (ROOT / "docs" / "keys.md").read_text()
INTERNALS = (ROOT / "docs" / "internals.md").read_text()


def row_of(env: str) -> str:
    (row,) = [line for line in SETTINGS.splitlines() if line.startswith(f"| `{env}`")]
    return row


@pytest.mark.parametrize("name", OPTIONS)
def test_the_settings_table_has_every_name_and_default(name: str) -> None:
    option = OPTIONS[name]
    _, envs, flags, default, _, _ = re.split(r" ?\| ?", row_of(option.envs[0]))
    assert re.findall(r"`([^`]+)`", envs) == list(option.envs)
    assert re.findall(r"`([^`]+)`", flags) == list(option.flags)
    shown = default.strip("` ")
    if option.default in (None, (), ""):
        assert shown.startswith("none")
    elif isinstance(option.default, bool):
        assert shown == ("on" if option.default else "off")
    elif isinstance(option.default, float):
        assert float(shown) == option.default
    else:
        assert shown == str(option.default)


def test_the_settings_page_has_every_env_and_no_other() -> None:
    first_cells = re.findall(r"^\| (`[A-Z].*?) \|", SETTINGS, re.MULTILINE)
    named = [name for cell in first_cells for name in re.findall(r"`([A-Z_]+)`", cell)]
    known = [env for option in OPTIONS.values() for env in option.envs]
    assert sorted(named) == sorted([*known, *Systemd.ENVS])


def test_the_commands_of_the_readme_exist() -> None:
    used = set(re.findall(r"^gresque ([a-z-]+)", README, re.MULTILINE))
    assert used <= set(COMMANDS)
    assert used


def test_every_key_is_documented() -> None:
    from gresque.store.keys import Keys

    keys = Keys("resque")
    shown = {re.sub(r"<[a-z]+>", "X", key) for key in re.findall(r"`(resque:[^`]+)`", KEYS)}
    made = {
        keys.queues, keys.queue("X"), keys.failed, keys.workers, keys.heartbeats, keys.processed,
        keys.failures, keys.retried, keys.worker_stat("retried", "X"),
        keys.worker_stat("processed", "X"), keys.worker_stat("failed", "X"),
        keys.worker_started("X"), keys.worker_job("X"), keys.worker_ping("X"),
        keys.worker_threads("X"), keys.worker_thread("X:X:X"), keys.worker_kills("X", "X"),
        keys.ledgers, keys.ledger("X"), keys.running("X"),
        keys.commands("X"), keys.answer("X"), keys.kills("X"), keys.failed_queues,
        keys.failed_list("X_failed"),
        keys.watch, keys.waits("X"), keys.audit, keys.failed_sweep, keys.failed_changes,
        keys.processes, keys.masters,
        keys.suspects, keys.recoveries,
        keys.suspects_of("X", 1), keys.suspects_of("X", 2),
        keys.producer("X"), keys.fenced, keys.listening("X"), keys.waiting("X"), keys.wake("X"),
        keys.polls("X"),
        keys.maintenance, keys.vitals, keys.later, keys.later_jobs,
        keys.cron, keys.cron_next, keys.cron_last, keys.cron_paused, keys.cron_apps,
        keys.persistent_schedules, keys.schedules_changed, keys.last_enqueued,
        keys.delayed_schedule, keys.delayed("X"), keys.timestamps(b"X").decode(),
        *keys.scheduler_locks, keys.policies, keys.pause_all, keys.inflight,
        keys.inflight_of("X"), keys.rates, keys.freed("X"), keys.unique("X"),
        keys.unique_waiting("X"), keys.heads, keys.marks, keys.metrics_flush("X"),
        keys.log("X"), keys.logs, keys.job("X"),
        *(keys.metrics(span, "X") for span in ("second", "minute", "ten", "times", "depth")),
    }  # fmt: skip
    assert made == shown


def section(title: str) -> str:
    return re.split(r"^## ", INTERNALS.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.M)[0]


def test_the_walk_of_a_job_is_that_of_the_code() -> None:
    steps = re.findall(r"^\| `([a-z_/]+)\.py` \| `([\w.]+)` \|", section("A job's walk"), re.M)
    assert steps[0] == ("client/enqueue", "enqueue")
    assert steps[-1][0] == "worker/threads/thread"
    assert len(steps) == len({path for path, _ in steps}) == 6, "six files, none twice"
    for path, name in steps:
        module = importlib.import_module(f"gresque.{path.replace('/', '.')}")
        function = reduce(getattr, name.split("."), module)
        assert function.__module__ == module.__name__, "named where it stands, not where it is used"


def test_the_tree_names_every_part() -> None:
    named = set(re.findall(r"`([a-z_/]+)`", section("The tree")))
    package = ROOT / "gresque"
    parts = {path.stem for path in package.glob("[a-z]*.py")}
    parts |= {f"{path.parent.relative_to(package)}/" for path in package.glob("*/**/__init__.py")}
    assert parts <= named


def test_every_file_that_internals_names_is_there() -> None:
    for path in re.findall(r"`([a-z_/]+\.(?:py|lua))`", INTERNALS):
        places = (ROOT / "gresque" / path, ROOT / path, ROOT / "gresque" / "store" / "lua" / path)
        assert any(place.exists() for place in places), path


def test_every_link_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        text = page.read_text()
        for place in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
            path, _, anchor = place.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), f"{page.name}: {place}"
            if anchor:
                assert anchor in anchors(target.read_text()), f"{page.name}: {place}"


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_and_flags_on_a_page_exist(page: Path) -> None:
    for line in commands_on(page.read_text()):
        name, *rest = line.split()[1:]
        assert name in COMMANDS, line
        flags, members = command_line(name)
        assert {word for word in rest if re.match(r"--?[a-z]", word)} <= flags, line
        if members and rest and re.fullmatch(r"[a-z]+", rest[0]):
            assert rest[0] in members, line


def commands_on(text: str) -> list[str]:
    """In fences, in indented lines of code, and within sentences."""
    fences = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    code = fences + "\n" + "\n".join(re.findall(r"^    .*|(?<=`)[^`\n]+(?=`)", rest, re.MULTILINE))
    return re.findall(r"^\s*(gresque [a-z][^#|\n]*)", code, re.MULTILINE)


def command_line(name: str) -> tuple[set[str], set[str]]:
    """The flags of a command and of the commands in it, and the names of those."""
    command = importlib.import_module(f"gresque.cli.{name.replace('-', '_')}").command
    members = dict(getattr(command, "commands", {}))
    options = [option for part in [command, *members.values()] for option in part.params]
    return {flag for o in options for flag in [*o.opts, *o.secondary_opts]} | {"--help"}, set(
        members
    )


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("from-*.md")), ids=lambda p: p.stem)
def test_the_names_that_others_are_called_here_exist(page: Path) -> None:
    spans = re.findall(r"`([^`\n]+)`", page.read_text())
    used = {name for span in spans for name in re.findall(r"\bgresque\.([A-Za-z]\w*)", span)}
    assert used
    assert used <= {*gresque.__all__, "testing"}
