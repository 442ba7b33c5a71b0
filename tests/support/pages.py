"""Pages of documentation that run: their blocks of code, typed word for word into terminals, and
what the page shows compared with what appears.

- A `python`, `ini` or `html` block whose first line is a comment with a path is saved there.
- A `sh` block is typed line by line. A `text` block right after it is what then appears.
- Comments in the Markdown, which no reader sees, say the rest, right before a block:
  `<!-- terminal 2 -->` where it is typed (else in terminal 1); `<!-- runs on -->` it does not end
  by itself; `<!-- each terminal -->` every new terminal begins with it; `<!-- Ctrl-C -->` what
  appears in the `text` block after Ctrl-C; `<!-- exactly -->` the numbers of this `text` block
  matter; `<!-- exit 1 -->` the exit code of the last command; `<!-- not run -->`.

Compared is the shape: numbers, ids, times and places are masked, and a line `…` stands for any
number of lines. With GRESQUE_REFRESH_PAGES=1 the page gets what appeared, but for blocks with such
a line that are right as they are.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.support.server import free_port
from tests.support.terminal import Terminal

REFRESH_ENV = "GRESQUE_REFRESH_PAGES"
REFRESH = REFRESH_ENV in os.environ
ANY = "…"

_BLOCK = re.compile(r"((?:^<!-- .*? -->\n)*)^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"(?:#|<!--|;) ([\w./-]+\.\w+)\b.*\n")
_LOOKS = re.compile(
    r"gresque (queues|running|failed( groups| show .*| list.*)?|stats|status|stacks|workers|ledger"
    r"|delayed|retries|cron)\b(?! (retry|remove|clear|cancel|run))"
)
"""Commands that change nothing: what they show may take a moment to come about."""

_PORT = re.compile(r"(?:(?<=127.0.0.1:)|(?<=127.0.0.1\", )|(?<=port )|(?<=runserver ))[58]00\d\b")
"""Those that the pages use."""

_MASKS = [
    (re.compile(pattern, re.MULTILINE), mask)
    for pattern, mask in [
        # Warnings of `gresque status`: there are more of them on a busy machine.
        (r"^▲.*\n(  .*\n)*", ""),
        (r", \d+ warnings?(?= at )", ""),
        (r"\b[0-9a-f]{32}\b", "ID"),
        (r"\b[0-9a-f]{8}\b", "ID"),
        (r"\d{4}([-/])\d\d\1\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|UTC|[+-]\d\d:?\d\d))?", "TIME"),
        (r"[\w.-]+(?=:\d)", "HOST"),
        (r"/\S*/(?=(site-packages|python3\.\d+)/)", "/"),
        (r"[─-]{2,}", "--"),
        (r"[ \t]+", " "),
        (r"\S*…", "…"),
    ]
]
_NUMBERS = [
    (re.compile(r"\d[\d,]*(\.\d+)?"), "N"),
    (re.compile(r"N (ms|s|min|h|d)\b"), "N s"),
]


class Block(NamedTuple):
    """A block of code on a page; `at` is where its text starts."""

    language: str
    text: str
    marks: list[str]
    at: int

    @property
    def path(self) -> str | None:
        """Where it is to be saved."""
        found = _FILE.match(self.text)
        return found[1] if found and self.language not in ("sh", "text") else None

    @property
    def has_gap(self) -> bool:
        return f"\n{ANY}\n" in f"\n{self.text}"

    @property
    def terminal(self) -> str:
        return next((mark[9:] for mark in self.marks if mark.startswith("terminal ")), "1")

    @property
    def exit_code(self) -> int:
        return next((int(mark[5:]) for mark in self.marks if mark.startswith("exit ")), 0)


def blocks(text: str, at: int = 0) -> list[Block]:
    """The blocks of a page, or of a part of it that starts at `at`."""
    return [
        Block(found[2], found[3], re.findall("<!-- (.*?) -->", found[1]), at + found.start(3))
        for found in _BLOCK.finditer(text)
    ]


def part(text: str, heading: str) -> list[Block]:
    """The blocks under a heading, up to the next one of its level or above."""
    start = text.index(f"\n{heading}\n") + 1
    level = heading.count("#", 0, heading.index(" "))
    fences = re.sub(r"^```.*?^```", lambda match: " " * len(match[0]), text, flags=re.M | re.S)
    end = re.compile(rf"^#{{1,{level}}} ", re.MULTILINE).search(fences, start + len(heading))
    return blocks(text[start : end.start() if end else len(text)], start)


def shape(text: str, *, exactly: bool = False) -> list[str]:
    """The lines of an output without what differs from run to run."""
    for pattern, mask in _MASKS if exactly else [*_MASKS, *_NUMBERS]:
        text = pattern.sub(mask, text)
    return [line.strip() for line in text.strip("\n").split("\n") if line.strip()]


def alike(shown: Block, appeared: str, *, goes_on: bool = False) -> bool:
    """Whether an output has the shape that the page shows, or begins with it."""
    exactly = "exactly" in shown.marks
    wanted, lines = shape(shown.text, exactly=exactly), shape(appeared, exactly=exactly)
    if all(line.startswith("TIME ") for line in wanted):
        wanted, lines = sorted(wanted), sorted(lines)  # a log of several processes
    pattern = "".join(r"(?:.*\n)*?" if line == ANY else re.escape(line) + r"\n" for line in wanted)
    match = re.match if goes_on else re.fullmatch
    return match(pattern, "".join(line + "\n" for line in lines)) is not None


@dataclass
class Walk:
    """A reader who follows a page. `start`: where its first terminal opens, `directory`: where
    files are saved; `names`: what is read instead of places that differ from run to run;
    `prefix`: a command that runs the shells."""

    start: Path
    directory: Path
    env: Mapping[str, str]
    names: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    changes: list[tuple[Block, str]] = field(default_factory=list)
    _ports: dict[str, str] = field(default_factory=dict)
    _terminals: dict[str, Terminal] = field(default_factory=dict)
    _beginning: list[str] = field(default_factory=list)

    def follow(self, page: list[Block]) -> None:
        """Do what the blocks say, in their order. Raises AssertionError when a command fails or
        something else appears than what the page shows."""
        for block, after in zip(page, [*page[1:], None], strict=True):
            if "not run" in block.marks:
                continue
            shown = after if after is not None and after.language == "text" else None
            if "Ctrl-C" in block.marks:
                appeared = self._renamed(self._terminals[block.terminal].interrupt().output)
                self._compare(block, "Ctrl-C", lambda text=appeared: text)
            elif block.language == "sh":
                self._type(block, shown if shown and "Ctrl-C" not in shown.marks else None)
            elif block.path is not None:
                path = self.directory / block.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self._with_ports(block.text))
                owner = path.parent.stat()
                os.chown(path, owner.st_uid, owner.st_gid)

    def close(self) -> None:
        for terminal in self._terminals.values():
            terminal.close()

    def refreshed(self, text: str) -> str:
        """The page with what appeared."""
        for block, appeared in sorted(self.changes, key=lambda change: -change[0].at):
            text = text[: block.at] + appeared + text[block.at + len(block.text) :]
        return text

    def _type(self, block: Block, shown: Block | None) -> None:
        terminal = self._open(block.terminal)
        if "each terminal" in block.marks:
            self._beginning.append(block.text)
        if "runs on" in block.marks:
            terminal.start(self._with_ports(block.text))
            if shown:
                self._compare(
                    shown, block.text, lambda: self._renamed(terminal.read()), 60, goes_on=True
                )
            return
        output = ""
        *first, last = commands(self._with_ports(block.text))
        for command in first:
            output += self._succeed(terminal, command, 0)
        if shown is None or not _LOOKS.match(last):
            output += self._succeed(terminal, last, block.exit_code)
            if shown is not None:
                self._compare(shown, block.text, lambda: self._renamed(output))
            return

        def look() -> str:
            ended = terminal.run(last)
            wrong = "" if ended.code == block.exit_code else f"\nIt exited with {ended.code}."
            return self._renamed(output + ended.output + wrong)

        self._compare(shown, block.text, look, 60)

    def _open(self, name: str) -> Terminal:
        if name not in self._terminals:
            self._terminals[name] = Terminal(self.start, self.env, self.prefix)
            for text in self._beginning:
                for command in commands(text):
                    self._succeed(self._terminals[name], command, 0)
        return self._terminals[name]

    def _succeed(self, terminal: Terminal, command: str, code: int) -> str:
        ended = terminal.run(command)
        assert ended.code == code, f"{command}\nexited with {ended.code}:\n{ended.output}"
        return ended.output

    def _renamed(self, text: str) -> str:
        for place, name in self.names.items():
            text = text.replace(place, name)
        for port, free in self._ports.items():
            text = text.replace(free, port)
        return text

    def _with_ports(self, text: str) -> str:
        """With ports that are free, as another walk may be under way."""
        for port in set(_PORT.findall(text)) - set(self._ports):
            self._ports[port] = port if REFRESH else str(free_port())
        return _PORT.sub(lambda found: self._ports[found[0]], text)

    def _compare(
        self,
        shown: Block,
        typed: str,
        look: Callable[[], str],
        seconds: float = 0,
        *,
        goes_on: bool = False,
    ) -> None:
        deadline = time.monotonic() + (min(seconds, 10) if REFRESH else seconds)
        while not alike(shown, appeared := look(), goes_on=goes_on):
            if time.monotonic() > deadline:
                if not REFRESH:
                    raise AssertionError(
                        f"after\n\n{typed}\nthe page shows\n\n{shown.text}\nand this appeared:\n\n"
                        f"{appeared}\n\nWhere the page is out of date: {REFRESH_ENV}=1"
                    )
                break
            time.sleep(0.3)
        if REFRESH and not (shown.has_gap and alike(shown, appeared, goes_on=goes_on)):
            lines = appeared.strip("\n").split("\n")
            lines = lines[: shown.text.count("\n")] if goes_on else lines
            self.changes.append((shown, "\n".join(lines) + "\n"))


def commands(text: str) -> list[str]:
    """The commands of a `sh` block: a line each, but for quotes, here-documents and backslashes."""
    found, lines = [], text.strip("\n").split("\n")
    while lines:
        command = lines.pop(0)
        while lines and not _is_whole(command):
            command += "\n" + lines.pop(0)
        found.append(command)
    return [command for command in found if command.strip() and not command.startswith("#")]


def _is_whole(command: str) -> bool:
    here = re.search(r"<<'?(\w+)'?", command)
    if here:
        return command.endswith(f"\n{here[1]}")
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return not command.endswith("\\")
