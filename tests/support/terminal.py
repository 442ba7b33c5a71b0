"""A terminal with a shell, as a user has it: 80 columns, Ctrl-C, and what the programs print."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

LINES, COLUMNS = 24, 80
PROMPT, MORE = "\x02{}\x03", "\x04"
"""What the shell prints when a command has ended, with its exit code, and within a command."""

_PROMPT = re.compile(r"\x02(\d+)\x03$")
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Ended(NamedTuple):
    """A command that has ended."""

    code: int
    output: str


class Terminal:
    """One shell. A command runs in the foreground until it ends or `interrupt` is called."""

    def __init__(self, directory: Path, env: Mapping[str, str], prefix: Sequence[str] = ()) -> None:
        """`prefix`: a command that runs the shell, such as `setpriv`."""
        self._screen, slave = os.openpty()
        settings = termios.tcgetattr(slave)
        settings[1] &= ~termios.OPOST
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self._shell = subprocess.Popen(
            [*prefix, "bash", "--noprofile", "--norc", "--noediting", "-i"],
            cwd=directory,
            env={
                **env,
                "PS1": PROMPT.format("$?"),
                "PS2": MORE,
                "VIRTUAL_ENV_DISABLE_PROMPT": "1",
            },
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._text = ""
        self._end()

    def run(self, command: str, seconds: float = 60) -> Ended:
        """Type a command, which may have several lines, and wait for its end."""
        self.start(command)
        return self._end(seconds)

    def start(self, command: str) -> None:
        """Type a command that runs on."""
        *first, last = command.strip().split("\n")
        for line in first:
            self._type(line + "\n")
            self._read_until(lambda: self._text.endswith(MORE), 60)
            self._text = self._text.removesuffix(MORE)
        self._type(last + "\n")

    def interrupt(self, seconds: float = 60) -> Ended:
        """Type Ctrl-C, and wait for the end of the command that runs."""
        self.read()
        self._text = ""
        self._type("\x03")
        return self._end(seconds)

    def read(self) -> str:
        """What the command that runs has printed so far."""
        while select.select([self._screen], [], [], 0)[0] and self._take():
            pass
        assert not _PROMPT.search(self._text), f"it has ended:\n{plain(self._text)}"
        return plain(self._text)

    def close(self) -> None:
        """End whatever runs in it."""
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._shell.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._shell.kill()
        self._shell.wait()
        os.close(self._screen)

    def _end(self, seconds: float = 60) -> Ended:
        self._read_until(lambda: _PROMPT.search(self._text), seconds)
        prompt = _PROMPT.search(self._text)
        assert prompt is not None
        text, self._text = self._text[: prompt.start()], ""
        return Ended(int(prompt[1]), plain(text))

    def _type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def _read_until(self, condition: object, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():  # type: ignore[operator]
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._screen], [], [], left)[0] or not self._take():
                raise AssertionError(f"not within {seconds} s; so far:\n{plain(self._text)}")

    def _take(self) -> bool:
        try:
            read = os.read(self._screen, 65536)
        except OSError:  # the shell has gone
            return False
        self._text += read.decode("utf-8", "replace")
        return bool(read)


def plain(text: str) -> str:
    """Without colours, and without what a carriage return has overwritten."""
    lines = _STYLE.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2].rstrip() for line in lines)
