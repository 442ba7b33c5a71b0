"""The text of an exception, for classes that raise or misbehave too. Pure.

An exception may come with attributes that raise, return something else or never return. So nothing
here asks the exception itself but for its message: the rest is read from where the interpreter
keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, TracebackType
from typing import Any, NamedTuple
from weakref import ref

MAX_ERROR_CHARS = 10_000
MAX_NOTES_CHARS = 2_000
MAX_NAME_CHARS = 500
MAX_LINE_CHARS = 1_000
MAX_FRAMES = 100
MAX_FRAMES_OF_OTHERS = 50
"""Of each cause and each member of a group."""
MAX_LINES = 200
MAX_GROUP_WIDTH = 15
MAX_GROUP_DEPTH = 10

CARRYING = re.compile(r"/(gevent|greenlet)/[^/:]+(/[^/:]+)*\.(py|pyx|pxd):\d+:in |<frozen ")
"""Frames of these carry what waits. They are the same ones wherever it waits."""


class Raised(NamedTuple):
    """An exception, read: its class, its message with its notes, its frames and causes."""

    name: str
    text: str
    backtrace: list[str]


def read_raised(error: BaseException, trace_of: BaseException | None = None) -> Raised:
    """Read an exception; the frames are those of `trace_of`, if that is given. Never raises."""
    name = exception_name(error)
    text = error_text(error)
    try:
        lines = backtrace(error if trace_of is None else trace_of)
    except BaseException as broken:
        lines = [f"<no backtrace: {exception_name(broken)}>"]
    return Raised(name, text, lines)


LIBRARY = re.compile(r"/(site|dist)-packages/|/lib(64)?/python\d|/gems/|/lib/ruby/|<frozen ")
"""Frames of these are not the user's own code."""


def is_frame(line: str) -> bool:
    """False for the lines between frames, such as `caused by KeyError: 'a'`."""
    return not line.startswith(("caused by ", "member "))


def own_frame(lines: list[str]) -> str:
    """The innermost frame of the user's own code, by its path; of a program that consists of
    installed packages alone, the innermost one that is not of gevent."""
    for line in lines:
        if is_frame(line) and LIBRARY.search(line) is None and not _is_carrying(line):
            return line
    return innermost(lines)


def from_the_job(lines: list[str]) -> list[str]:
    """A backtrace without the frames of gevent that it begins with; all of it where there are no
    others."""
    for index, line in enumerate(lines):
        if not _is_carrying(line):
            return lines[index:] if index else lines
    return lines


def innermost(lines: list[str]) -> str:
    """The first one of those."""
    for line in lines:
        if not _is_carrying(line):
            return line
    return lines[0] if lines else ""


def _is_carrying(line: str) -> bool:
    may_be = "gevent/" in line or "greenlet/" in line or "<frozen " in line
    return may_be and CARRYING.search(line) is not None


def stand_in(error: BaseException, broken: BaseException) -> Raised:
    """For an exception that could not be read, because of `broken`. Calls none of its code."""
    text = f"<no message: {exception_name(broken)} while the exception was read>"
    return Raised(exception_name(error), text, [])


_module_of = type.__dict__["__module__"].__get__
_qualname_of = type.__dict__["__qualname__"].__get__
context_of: Callable[[BaseException], BaseException | None] = BaseException.__dict__[
    "__context__"
].__get__
"""Its `__context__`, without asking the exception."""
_cause_of = BaseException.__dict__["__cause__"].__get__
_suppresses = BaseException.__dict__["__suppress_context__"].__get__
_trace_of = BaseException.__dict__["__traceback__"].__get__
_attributes_of = BaseException.__dict__["__dict__"].__get__
_members_of = BaseExceptionGroup.__dict__["exceptions"].__get__


def exception_name(error: BaseException) -> str:
    """Its class; with the module unless that is the standard library's or gresque's own."""
    kind = type(error)
    name = _cut(_qualname_of(kind), MAX_NAME_CHARS)
    try:
        module = _module_of(kind)
    except AttributeError:  # its class has deleted it
        return name
    if not issubclass(type(module), str):
        return name
    module = _cut(module, MAX_NAME_CHARS)
    return name if module in ("builtins", "gresque.errors") else f"{module}.{name}"


def error_text(error: BaseException) -> str:
    """The exception's message, and its notes on lines of their own; an exception whose `__str__`
    raises still gets a text."""
    if type(dict.get(_attributes_of(error), "__notes__")) is not list:
        return message(error)
    notes = "".join(f"\n{note}" for note in _notes(error))[:MAX_NOTES_CHARS]
    return message(error)[: MAX_ERROR_CHARS - len(notes)] + notes


def message(error: BaseException) -> str:
    """`str(error)`, cut."""
    try:
        return _cut(str(error), MAX_ERROR_CHARS, "")
    except BaseException as broken:
        return f"<no message: {exception_name(broken)} in __str__>"


def one_line(error: BaseException) -> str:
    """`ValueError: the message`, as the last line of a traceback."""
    return ": ".join(filter(None, (exception_name(error), message(error))))


def backtrace(error: BaseException, *, whole: bool = False) -> list[str]:
    """The frames in Ruby's order and form, the innermost first: ``file:line:in `name'``.

    The members of a group and what caused the exception follow, with their own frames. Those of
    gresque's own frames that carry a job are left out, unless `whole`.
    `traceback.format_exc` reads source files and takes 43 µs; this walk takes 2.
    """
    lines = _frames(_trace_of(error), MAX_FRAMES, whole)
    waiting = _related(error, ())
    if not waiting:
        return lines
    seen = {id(error)}
    while waiting and len(lines) < MAX_LINES:
        label, place, other = waiting.pop()
        if id(other) in seen:
            continue
        seen.add(id(other))
        text = _cut(error_text(other), MAX_LINE_CHARS)
        lines.append(f"{label} {exception_name(other)}: {text}")
        lines.extend(_frames(_trace_of(other), MAX_FRAMES_OF_OTHERS, whole))
        waiting += _related(other, place)
    return lines[:MAX_LINES]


Place = tuple[int, ...]
"""Where a member stands in nested groups."""


def _related(error: BaseException, place: Place) -> list[tuple[str, Place, BaseException]]:
    """The exceptions that belong to this one, the last one first: members, then the cause."""
    found: list[tuple[str, Place, BaseException]] = []
    cause = _cause_of(error)
    if cause is None and not _suppresses(error):
        cause = context_of(error)
    if cause is not None:
        found.append(("caused by", place, cause))
    if issubclass(type(error), BaseExceptionGroup) and len(place) < MAX_GROUP_DEPTH:
        members = _members_of(error)
        for number in range(min(len(members), MAX_GROUP_WIDTH), 0, -1):
            own = (*place, number)
            where = ".".join(map(str, own))
            found.append((f"member {where} of the group:", own, members[number - 1]))
    return found


def _notes(error: BaseException) -> Iterator[str]:
    notes: list[Any] = _attributes_of(error)["__notes__"]
    for note in notes[:MAX_GROUP_WIDTH]:
        if issubclass(type(note), str):
            yield _cut(note, MAX_LINE_CHARS)


def _frames(trace: TracebackType | None, most: int, whole: bool) -> list[str]:
    """The innermost frame first; of too many the outermost ones are left out."""
    lines: list[str] = []
    while trace is not None:
        frame = trace.tb_frame
        known = _known_code.get(id(frame.f_code))
        if known is None:
            known = _know(frame)
        if whole or not known.is_ours:
            lines.append(known[trace.tb_lineno])
        trace = trace.tb_next
    lines.reverse()
    del lines[most:]
    return lines


def frame_line(frame: FrameType, line_number: int) -> str | None:
    """One frame in Ruby's form; None for one of gresque's own."""
    known = _known_code.get(id(frame.f_code))
    if known is None:
        known = _know(frame)
    return None if known.is_ours else known[line_number]


class _Lines(dict[int, str]):
    """Line number -> a frame of this code there, as it is shown: failures at one place share it.

    It is forgotten with its code, whose id another one may get then. To compare two would not tell
    them apart, as that leaves out the file."""

    def __init__(self, code: CodeType, *, is_ours: bool) -> None:
        self.file, self.name = code.co_filename, code.co_name
        self.is_ours = is_ours
        key, forget = id(code), _known_code.pop
        self.watch = ref(code, lambda _: forget(key, None))

    def __missing__(self, line_number: int) -> str:
        line = f"{self.file}:{line_number}:in `{self.name}'"
        line = self[line_number] = _cut(line, MAX_LINE_CHARS)
        return line


_known_code: dict[int, _Lines] = {}
"""By the id of the code object, which is not kept: a program may compile code for each job."""


def _know(frame: FrameType) -> _Lines:
    code = frame.f_code
    known = _known_code[id(code)] = _Lines(code, is_ours=_is_ours(frame))
    return known


def _is_ours(frame: FrameType) -> bool:
    module: Any = dict.get(frame.f_globals, "__name__")
    return type(module) is str and module.startswith(_OURS)


_OURS = ("gresque.worker.", "gresque.jobs.")
"""Frames of these modules carry the job; they are of no use to its author."""


def _cut(text: str, most: int, mark: str = "…") -> str:
    """An exact str: a subclass may do anything when it is sliced or formatted."""
    if type(text) is str and len(text) <= most:
        return text
    kept = str.__getitem__(text, slice(most))
    return kept if str.__len__(text) <= most else kept + mark
