"""scripts/_venv's second half: bring .venv into order, then print its Python on stdout.

1. A .venv whose stamp says that it has the extra is used as it is, without a look at pip.
2. Otherwise one process at a time goes on; another waits for it, and then looks again.
3. A .venv that was cut off half way, was moved, lost its Python or has no pip is made again.
4. pip installs this checkout with the extra, and the stamp is written.

It needs the standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import signal

# Until main() can say something, Ctrl-C ends it without a traceback. What nohup ignores stays so.
if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UNFINISHED = VENV / "unfinished"
"""There while .venv is being made and while pip changes it: what it stands in is not to be used."""
LOG = VENV / "setup.log"

CONTAINED_IN = {"demo": ["dev"], "bench": ["dev"]}
"""What has the larger extra needs no pip for the smaller one."""

# Type checkers and IDEs read a path in a .pth file; they cannot read the import hook that
# setuptools installs without `compat`.
EDITABLE = ["--config-settings", "editable_mode=compat", "--editable"]
PIP = ["-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
INSTALL = [*PIP, "install", "--progress-bar", "off", *EDITABLE]

LOOK_SECONDS = 0.1
PLAIN_LINE_SECONDS = 10
END_SECONDS = 10
_NO_NETWORK = re.compile(
    r"connection broken by|NewConnectionError|name resolution|Max retries exceeded|ProxyError"
)


class SetupError(Exception):
    """One line or a few for the user, without a traceback."""


def main(extra: str) -> None:
    if not is_ready(extra):
        lock = take_lock()
        if not is_ready(extra):
            set_up(extra, lock)
    print(PYTHON)


def is_ready(extra: str) -> bool:
    if not any(is_installed(one) for one in (extra, *CONTAINED_IN.get(extra, ()))):
        return False
    if UNFINISHED.exists() or not is_complete():
        return False
    # The Python behind .venv may have gone, or have become another version with other packages.
    return succeeds("import gresque, sys; sys.exit(sys.version_info < (3, 11))")


def is_installed(extra: str) -> bool:
    """Whether pip has installed this extra, and none of its packages was removed since."""
    stamp, wants = read(stamp_of(extra)), wanted()
    return stamp.startswith(wants) and packages() >= set(stamp[len(wants) :].split())


def is_complete() -> bool:
    """Whether each package in .venv still has all of its files. pip itself does not look."""
    for package in installed():
        files = read(package / "RECORD").splitlines()
        # A path with a comma stands in quotes. Compiled files come and go.
        paths = [line.partition(",")[0] for line in files if not line.startswith('"')]
        kept = [path for path in paths if not path.endswith(".pyc")]
        if not kept or not all((package.parent / path).exists() for path in kept):
            return False
    return True


def set_up(extra: str, lock: int) -> None:
    if not is_usable():
        make_venv(lock)
    UNFINISHED.touch()
    try:
        step = Step(f"Installing gresque[{extra}] into .venv", lock)
        step.run([str(PYTHON), *INSTALL, f"{ROOT}[{extra}]"], explain_pip)
    except (SetupError, KeyboardInterrupt):
        # pip prints this before it changes anything. Up to there .venv is as good as it was.
        if "Installing collected packages" not in read(LOG):
            UNFINISHED.unlink()
        raise
    half = stamp_of(extra).with_suffix(".new")
    half.write_text(wanted() + "\n".join(sorted(packages())))
    half.rename(stamp_of(extra))
    UNFINISHED.unlink()


def is_usable() -> bool:
    """Whether pip may go on in this .venv."""
    made_by = re.search(r"^command = (.*)$", read(VENV / "pyvenv.cfg"), re.MULTILINE)
    return (
        not UNFINISHED.exists()
        and is_complete()
        # Moved, its programs start with the path of a Python that is no longer there.
        and made_by is not None
        and made_by[1].endswith(f" {VENV}")
        and succeeds("import sys; sys.exit(sys.version_info < (3, 11))")
        and run_quietly([str(PYTHON), *PIP, "--version"])
    )


def installed() -> list[Path]:
    return list(VENV.glob("lib/python3*/site-packages/*.dist-info"))


def packages() -> set[str]:
    """Their names, without their versions."""
    return {package.name.partition("-")[0] for package in installed()}


def make_venv(lock: int) -> None:
    if not (find_spec("venv") and find_spec("ensurepip")):
        raise SetupError(
            f"{sys.executable} cannot make a virtual environment: its modules venv and ensurepip "
            "are not installed. On Debian and Ubuntu: apt install python3-venv"
        )
    empty(VENV)
    UNFINISHED.touch()
    # In a virtual environment that is active now, the Python that it was made with.
    base = getattr(sys, "_base_executable", sys.executable)
    Step("Making a virtual environment in .venv", lock).run(
        [base, "-I", "-m", "venv", str(VENV)], last_lines
    )


def empty(directory: Path) -> None:
    """`venv --clear` would remove the mark as well."""
    if directory.exists() and not directory.is_dir():
        raise SetupError(f"{directory} is not a directory; move it away and try again")
    directory.mkdir(exist_ok=True)
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


class Step:
    """A program that takes its time: its output goes to a file, the seconds to stderr."""

    def __init__(self, what: str, lock: int) -> None:
        self._what = what
        self._lock = lock
        self._started = time.monotonic()
        self._next_line = self._started + PLAIN_LINE_SECONDS
        self._terminal = sys.stderr.isatty()
        self._shown = ""

    def run(self, command: list[str], explain: Callable[[str], str]) -> None:
        with LOG.open("w") as log:
            # A group of its own: Ctrl-C reaches this process alone, which ends the program in
            # order. The lock goes along, so that it is held until the program has ended even when
            # this process is killed.
            program = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                pass_fds=[self._lock],
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        try:
            self._show_start()
            while program.poll() is None:
                time.sleep(LOOK_SECONDS)
                self._show()
        except BaseException:
            self._end(program)
            raise
        if program.returncode:
            self._say("failed", ends=True)
            raise SetupError(f"{explain(read(LOG))}\n  (all of it: {LOG})")
        self._say(f"done in {self._seconds:.0f} s", ends=True)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _show_start(self) -> None:
        if not self._terminal:
            print(f"{self._what} ...", file=sys.stderr, flush=True)

    def _show(self) -> None:
        doing = progress_of(read(LOG))
        if self._terminal:
            self._say(f"{self._seconds:.0f} s{doing}")
        elif time.monotonic() > self._next_line:
            self._next_line += PLAIN_LINE_SECONDS
            self._say(f"{self._seconds:.0f} s{doing}", ends=True)

    def _say(self, words: str, *, ends: bool = False) -> None:
        line = f"{self._what}: {words}"
        if line == self._shown and not ends:
            return
        self._shown = line
        if self._terminal:
            line = "\r" + line[: shutil.get_terminal_size().columns - 1] + "\033[K"
        print(line, end="\n" if ends else "", file=sys.stderr, flush=True)

    def _end(self, program: subprocess.Popen[bytes]) -> None:
        # By Ctrl-C's signal pip clears up: by TERM it leaves its directories in /tmp.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if program.poll() is None:
                os.killpg(program.pid, number)
                try:
                    program.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr)


def progress_of(log: str) -> str:
    """What pip does now, as the end of a line."""
    for line in reversed(log.splitlines()):
        words = line.split()
        if "Retrying" in words:
            return ", no answer from the network yet"
        if words[:1] == ["Collecting"]:
            return f", collecting {words[1]}"
        if words[:2] == ["Installing", "collected"]:
            return f", installing {len(words) - 3} packages"
    return ""


def explain_pip(log: str) -> str:
    if _NO_NETWORK.search(log):
        return (
            "pip reached no package index. Is the network there? A proxy goes into HTTPS_PROXY, "
            "a mirror into PIP_INDEX_URL. Then run it again."
        )
    # Where a program that pip started has failed, the last lines say only that it did.
    errors = "\n".join(line for line in log.splitlines() if line.lstrip().startswith("ERROR:"))
    return "pip failed:\n" + last_lines(errors or log)


def last_lines(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[-8:])


def take_lock() -> int:
    """One for this checkout; the end of the process gives it back."""
    lock = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Another script is setting up .venv; waiting for it ...", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        pass  # A file system without locks: two scripts at once are then the user's to avoid.
    return lock


def stamp_of(extra: str) -> Path:
    return VENV / f"installed-{extra}"


def wanted() -> str:
    """A stamp's text: it becomes another one when anything changes that pip was given."""
    setup = hashlib.sha256((ROOT / "setup.py").read_bytes()).hexdigest()
    return f"{ROOT}\n{setup}\n{' '.join(INSTALL)}\n"


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def succeeds(code: str) -> bool:
    return run_quietly([str(PYTHON), "-I", "-c", code])


def run_quietly(command: list[str]) -> bool:
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return False
    return ended.returncode == 0


def interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, interrupt)
        main(sys.argv[1])
    except KeyboardInterrupt:
        print("gresque: set-up interrupted; run it again to go on", file=sys.stderr)
        sys.exit(130)
    except PermissionError as error:
        whose = f"{error.filename} cannot be written; make a checkout of your own"
        print(f"gresque: set-up failed: {whose}", file=sys.stderr)
        sys.exit(1)
    except (SetupError, OSError) as error:
        print(f"gresque: set-up failed: {error}", file=sys.stderr)
        sys.exit(1)
