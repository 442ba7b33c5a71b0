"""scripts/_venv finds what is wrong with a .venv and repairs it.

The tests plant each fault in a copy of the scripts. Their Python is a real one, but for `ensurepip`
and so for pip: the one it installs does what FAKE_PIP says, and notes each call.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.support import wait_for

ROOT = Path(__file__).parents[2]

ENSUREPIP = """
import sysconfig
from pathlib import Path

packages = Path(sysconfig.get_path("purelib"))
(packages / "pip").mkdir(exist_ok=True)
(packages / "pip" / "__main__.py").write_text({pip!r})
"""

PIP = """
import fcntl, os, sys, sysconfig, tempfile, time
from pathlib import Path

what = os.environ["FAKE_PIP"]
home = Path(os.environ["FAKE_HOME"])
if "--version" in sys.argv:
    sys.exit()
with (home / "calls").open("a") as calls:
    calls.write(sys.argv[-1].rpartition("[")[2].rstrip("]") + chr(10))
assert "editable_mode=compat" in sys.argv
alone = (home / "alone").open("w")
fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an error when two are at work
print("Collecting gevent", flush=True)
if what == "no network":
    print("WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'")
    sys.exit(1)
if what == "broken":
    print("  ERROR: no space left on device", flush=True)
    sys.exit(chr(10).join(["note: it is not a problem with pip"] * 8))
if what.startswith("hangs"):
    if "installing" in what:
        print("Installing collected packages: gevent, redis", flush=True)
    with tempfile.TemporaryDirectory(prefix="pip-", dir=home):
        (home / "hangs").write_text(str(os.getpid()))
        time.sleep(60)
time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
packages = Path(sysconfig.get_path("purelib"))
for name in ("gresque", "gevent"):
    (packages / f"{name}.py").touch()
    (packages / f"{name}-1.0.dist-info").mkdir(exist_ok=True)
    record = f"{name}.py,,{chr(10)}__pycache__/{name}.cpython-311.pyc,,{chr(10)}"
    (packages / f"{name}-1.0.dist-info" / "RECORD").write_text(record)
print("Installing collected packages: gevent, redis", flush=True)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a `python3` whose ensurepip is another one: a copy of this one's program
    beside links to its library."""
    return make_python(tmp_path_factory.mktemp("python"), ENSUREPIP.format(pip=PIP))


@pytest.fixture(scope="module")
def python_without_venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As on Debian without the package python3-venv."""
    return make_python(tmp_path_factory.mktemp("without"), ensurepip=None)


def make_python(home: Path, ensurepip: str | None, program: str = "python3") -> Path:
    name = f"python3.{sys.version_info.minor}"
    real = Path(sysconfig.get_path("stdlib"))
    library = home / "lib" / name
    library.mkdir(parents=True)
    for entry in real.iterdir():
        if entry.name not in ("ensurepip", "site-packages", "dist-packages"):
            (library / entry.name).symlink_to(entry)
    for shared in real.parent.glob("libpython*"):
        (library.parent / shared.name).symlink_to(shared)
    if ensurepip is not None:
        (library / "ensurepip").mkdir()
        (library / "ensurepip" / "__init__.py").touch()
        (library / "ensurepip" / "__main__.py").write_text(ensurepip)
    (home / "bin").mkdir()
    shutil.copy(Path(sys.base_prefix, "bin", name).resolve(), home / "bin" / program)
    return home / "bin"


class Checkout:
    """A copy of the scripts, with what they look at."""

    def __init__(self, root: Path, python: Path) -> None:
        self.root = root
        self.python = python
        self.home = root.parent
        (root / "scripts").mkdir(parents=True)
        for script in ("_venv", "_venv.py"):
            shutil.copy(ROOT / "scripts" / script, root / "scripts")
        (root / "setup.py").write_text("1")

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def start(self, extra: str, pip: str = "works", **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.root / "scripts" / "_venv", extra],
            # /bin for `dirname`. It has no Python that comes before the tests' own.
            env={"PATH": f"{self.python}:/usr/bin:/bin", "FAKE_PIP": pip,
                 "FAKE_HOME": str(self.home), **env},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, extra: str = "demo", pip: str = "works") -> tuple[int, str, str]:
        process = self.start(extra, pip)
        output, errors = process.communicate(timeout=120)
        return process.returncode, output.strip(), errors

    def succeed(self, extra: str = "demo") -> str:
        """Returns what it said on stderr."""
        code, output, errors = self.run(extra)
        assert (code, output) == (0, str(self.venv / "bin" / "python")), errors
        return errors

    def calls(self) -> list[str]:
        """The extras that pip was called for."""
        calls = self.home / "calls"
        return calls.read_text().split() if calls.exists() else []


@pytest.fixture
def checkout(tmp_path: Path, python: Path) -> Iterator[Checkout]:
    yield Checkout(tmp_path / "a checkout", python)


def test_the_second_call_uses_what_is_there(checkout: Checkout) -> None:
    errors = checkout.succeed()
    # On a busy machine there are lines of progress between them.
    lines = [line for line in errors.splitlines() if line.endswith("...") or "done" in line]
    assert [re.sub(r" in \d+ s$", "", line) for line in lines] == [
        "Making a virtual environment in .venv ...",
        "Making a virtual environment in .venv: done",
        "Installing gresque[demo] into .venv ...",
        "Installing gresque[demo] into .venv: done",
    ]
    assert checkout.succeed() == ""
    assert checkout.calls() == ["demo"]


def test_each_extra_is_installed_once_and_dev_contains_the_others(checkout: Checkout) -> None:
    checkout.succeed("demo")
    checkout.succeed("dev")
    checkout.succeed("bench")
    checkout.succeed("demo")
    assert checkout.calls() == ["demo", "dev"]


def test_another_setup_py_is_installed_into_the_same_venv(checkout: Checkout) -> None:
    checkout.succeed()
    (checkout.venv / "kept").touch()
    (checkout.root / "setup.py").write_text("2")
    assert "Making" not in checkout.succeed()
    assert (checkout.venv / "kept").exists()
    assert checkout.calls() == ["demo", "demo"]


def without_pip(venv: Path) -> None:
    (pip,) = venv.glob("lib/*/site-packages/pip")
    shutil.rmtree(pip)
    (venv / "installed-demo").unlink()


def without_python(venv: Path) -> None:
    for program in (venv / "bin").glob("python*"):
        program.unlink()


def another_python(venv: Path) -> None:
    """As after an update of the system: the packages are those of a version that has gone."""
    (venv / "lib" / "python3.0").mkdir()
    (packages,) = venv.glob("lib/python3.*/site-packages")
    packages.rename(venv / "lib" / "python3.0" / "site-packages")


def cut_off_in_the_middle(venv: Path) -> None:
    (venv / "unfinished").touch()


def without_a_file(venv: Path) -> None:
    (file,) = venv.glob("lib/*/site-packages/gevent.py")
    file.unlink()


def without_a_record(venv: Path) -> None:
    (record,) = venv.glob("lib/*/site-packages/gevent-*/RECORD")
    record.unlink()


def only_a_directory(venv: Path) -> None:
    shutil.rmtree(venv)
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)


FAULTS = [
    without_pip,
    without_python,
    another_python,
    cut_off_in_the_middle,
    without_a_file,
    without_a_record,
    only_a_directory,
]


@pytest.mark.parametrize("plant", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_a_broken_venv_is_made_again(checkout: Checkout, plant: object) -> None:
    checkout.succeed()
    (checkout.venv / "old").touch()
    assert callable(plant)
    plant(checkout.venv)
    assert "Making a virtual environment" in checkout.succeed()
    assert not (checkout.venv / "old").exists()


def test_a_package_that_was_removed_is_installed_again(checkout: Checkout) -> None:
    checkout.succeed()
    for rest in checkout.venv.glob("lib/*/site-packages/gevent*"):
        shutil.rmtree(rest) if rest.is_dir() else rest.unlink()
    assert "Making" not in checkout.succeed()
    assert checkout.calls() == ["demo", "demo"]
    assert checkout.succeed() == ""


def test_half_a_stamp_is_none(checkout: Checkout) -> None:
    checkout.succeed()
    stamp = checkout.venv / "installed-demo"
    stamp.write_text(stamp.read_text()[:20])
    assert "Installing" in checkout.succeed()


def test_a_moved_checkout_gets_another_venv(checkout: Checkout) -> None:
    checkout.succeed()
    checkout.root = checkout.root.rename(checkout.home / "moved")
    assert "Making a virtual environment" in checkout.succeed()


def test_a_python_without_venv_says_what_to_install(
    checkout: Checkout, python_without_venv: Path, python: Path
) -> None:
    checkout.python = python_without_venv
    # Debian's `python3` beside another version that has venv would be passed over for that one.
    process = checkout.start("demo", PATH=f"{python_without_venv}:{only_dirname(checkout.home)}")
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, output) == (1, "")
    assert errors.count("\n") == 1
    assert "apt install python3-venv" in errors
    checkout.python = python
    checkout.succeed()


def test_a_python_that_can_make_a_venv_is_preferred(
    checkout: Checkout, python_without_venv: Path
) -> None:
    other = make_python(checkout.home / "other", ENSUREPIP.format(pip=PIP), "python3.11")
    process = checkout.start("demo", PATH=f"{python_without_venv}:{other}:/usr/bin:/bin")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


def test_no_python_at_all_is_one_line(checkout: Checkout) -> None:
    process = checkout.start("demo", PATH=str(only_dirname(checkout.home)))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors == (
        "gresque: there is no Python 3.11 or newer on the PATH; install one and try again\n"
    )


def only_dirname(home: Path) -> Path:
    """A directory for the PATH of a system that has no Python."""
    programs = home / "programs"
    programs.mkdir()
    for program in ("dirname", "sh"):
        found = shutil.which(program)
        assert found is not None
        (programs / program).symlink_to(found)
    return programs


def test_no_network_keeps_what_is_there(checkout: Checkout) -> None:
    checkout.succeed("demo")
    (checkout.venv / "kept").touch()
    code, output, errors = checkout.run("dev", pip="no network")
    assert (code, output) == (1, "")
    assert "pip reached no package index. Is the network there?" in errors
    assert "Traceback" not in errors
    assert checkout.succeed("demo") == ""
    assert "Making" not in checkout.succeed("dev")
    assert (checkout.venv / "kept").exists()


def test_what_pip_complains_of_is_shown(checkout: Checkout) -> None:
    code, _, errors = checkout.run(pip="broken")
    assert code == 1
    assert "  ERROR: no space left on device\n" in errors
    assert str(checkout.venv / "setup.log") in errors


@pytest.mark.parametrize(
    ("number", "when"),
    [(signal.SIGINT, "collecting"), (signal.SIGTERM, "installing")],
    ids=["INT", "TERM"],
)
def test_an_interruption_is_one_line_and_ends_pip(
    checkout: Checkout, number: signal.Signals, when: str
) -> None:
    process = checkout.start("demo", f"hangs {when}")
    pip = wait_for_pip(checkout)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "gresque: set-up interrupted; run it again to go on"
    assert "Traceback" not in errors
    wait_for(lambda: has_ended(pip))
    assert not list(checkout.home.glob("pip-*"))
    # Cut off while it changes packages: nobody knows what is missing.
    again = checkout.succeed()
    assert ("Making" in again) == (when == "installing")


def test_after_a_kill_it_is_made_again_when_pip_has_ended(checkout: Checkout) -> None:
    process = checkout.start("demo", "hangs")
    pip = wait_for_pip(checkout)
    process.kill()
    process.communicate()
    successor = checkout.start("demo")
    assert successor.stderr is not None
    line = successor.stderr.readline()
    assert line == "Another script is setting up .venv; waiting for it ...\n"
    os.kill(pip, signal.SIGKILL)
    _, errors = successor.communicate(timeout=120)
    assert successor.returncode == 0, errors
    assert "Making a virtual environment" in errors


def test_two_at_once_call_pip_one_after_the_other(checkout: Checkout) -> None:
    processes = [
        checkout.start(extra, FAKE_SECONDS="0.2") for extra in ("demo", "dev", "demo", "dev")
    ]
    for process in processes:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert output.strip() == str(checkout.venv / "bin" / "python")
    assert len(checkout.calls()) == len(set(checkout.calls()))
    assert not (checkout.venv / "unfinished").exists()


def test_a_file_in_its_place_is_named(checkout: Checkout) -> None:
    checkout.venv.touch()
    code, _, errors = checkout.run()
    assert code == 1
    assert errors == (
        f"gresque: set-up failed: {checkout.venv} is not a directory; move it away and try again\n"
    )


def test_the_extras_that_dev_contains_are_its_own() -> None:
    """CONTAINED_IN in _venv.py says so; setup.py has to agree."""
    required: dict[str, set[str]] = {"demo": set(), "bench": set(), "dev": set()}
    from importlib.metadata import requires

    for requirement in requires("gresque") or []:
        name, _, marker = requirement.partition(";")
        for extra, names in required.items():
            if f'extra == "{extra}"' in marker.replace("'", '"'):
                names.add(name.strip())
    assert required["demo"]
    assert required["demo"] | required["bench"] <= required["dev"]


def wait_for_pip(checkout: Checkout) -> int:
    hangs = checkout.home / "hangs"
    wait_for(lambda: hangs.exists() and hangs.read_text())
    return int(hangs.read_text())


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").exists() and " Z " in Path(f"/proc/{pid}/stat").read_text()
