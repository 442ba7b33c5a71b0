"""What an exception says, whatever its class does."""

from __future__ import annotations

import gc
import json
import re
import sys
from typing import Any
from weakref import ref

import gevent
import pytest

from gresque.errors import DirtyExit, GresqueError, JobKilled
from gresque.raised import (
    MAX_ERROR_CHARS,
    MAX_FRAMES,
    MAX_LINE_CHARS,
    MAX_LINES,
    MAX_NAME_CHARS,
    Raised,
    _known_code,
    backtrace,
    context_of,
    error_text,
    exception_name,
    from_the_job,
    innermost,
    one_line,
    own_frame,
    read_raised,
    stand_in,
)

# Exceptions


class OwnError(Exception):
    class Inner(Exception): ...


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ValueError(), "ValueError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (DirtyExit(), "DirtyExit"),
        (GresqueError(), "GresqueError"),
        (JobKilled(), "JobKilled"),
        (OwnError(), f"{__name__}.OwnError"),
        (OwnError.Inner(), f"{__name__}.OwnError.Inner"),
        (json.JSONDecodeError("m", "d", 0), "json.decoder.JSONDecodeError"),
    ],
    ids=repr,
)
def test_exception_names(error: BaseException, name: str) -> None:
    assert exception_name(error) == name


def broken(kind: type[BaseException]) -> Exception:
    def __str__(self: Any) -> str:
        raise kind("no")

    return type("Broken", (Exception,), {"__str__": __str__})()


class NotText(Exception):
    def __str__(self) -> Any:
        return 5


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("boom"), "boom"),
        (ValueError(), ""),
        (ValueError("a", 1), "('a', 1)"),
        (KeyError("k"), "'k'"),
        (broken(RuntimeError), "<no message: RuntimeError in __str__>"),
        (broken(RecursionError), "<no message: RecursionError in __str__>"),
        (NotText(), "<no message: TypeError in __str__>"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_texts(error: Exception, text: str | None) -> None:
    assert error_text(error) == (str(error) if text is None else text)


# Backtraces


def caught(function: Any) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def inner() -> None:
    raise ValueError("inner")


def outer() -> None:
    inner()


def chained() -> None:
    try:
        inner()
    except ValueError as error:
        raise RuntimeError("outer") from error


def in_passing() -> None:
    try:
        inner()
    except ValueError:
        raise RuntimeError("outer")  # noqa: B904


def from_none() -> None:
    try:
        inner()
    except ValueError:
        raise RuntimeError("outer") from None


def names(lines: list[str]) -> list[str]:
    return [line.rpartition("in `")[2].removesuffix("'") for line in lines]


def test_the_innermost_frame_comes_first() -> None:
    lines = backtrace(caught(outer))
    assert names(lines) == ["inner", "outer", "caught"]
    line = inner.__code__.co_firstlineno + 1
    assert lines[0] == f"{__file__}:{line}:in `inner'"
    assert all(re.fullmatch(r".+:\d+:in `[^']+'", text) for text in lines), "Ruby's form"


@pytest.mark.parametrize("function", [chained, in_passing])
def test_causes_follow_with_their_frames(function: Any) -> None:
    lines = backtrace(caught(function))
    assert names(lines)[:2] == [function.__name__, "caught"]
    assert lines[2] == "caused by ValueError: inner"
    assert names(lines)[3:] == ["inner", function.__name__]


def test_from_none_hides_the_cause() -> None:
    assert names(backtrace(caught(from_none))) == ["from_none", "caught"]


def test_three_causes() -> None:
    def top() -> None:
        try:
            chained()
        except RuntimeError as error:
            raise LookupError("top") from error

    lines = [line for line in backtrace(caught(top)) if line.startswith("caused by")]
    assert lines == ["caused by RuntimeError: outer", "caused by ValueError: inner"]


def test_a_ring_of_causes_ends() -> None:
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    assert backtrace(first) == ["caused by ValueError: 2"]


def test_an_error_never_raised_has_no_frames() -> None:
    assert backtrace(ValueError()) == []


def test_a_cause_without_a_message_and_a_long_one() -> None:
    error = ValueError()
    error.__cause__ = broken(RuntimeError)
    assert backtrace(error)[0].endswith("<no message: RuntimeError in __str__>")
    error.__cause__ = ValueError("x" * 1_000_000)
    assert len(backtrace(error)[0]) < 1100


def test_a_recursion_is_cut_and_keeps_what_is_innermost() -> None:
    def down(depth: int) -> None:
        if depth == 0:
            inner()
        down(depth - 1)

    lines = backtrace(caught(lambda: down(sys.getrecursionlimit() // 2)))
    assert len(lines) == MAX_FRAMES
    assert names(lines)[:2] == ["inner", "down"]
    assert len(backtrace(caught(lambda: down(10**9)))) == MAX_FRAMES


def test_a_long_chain_is_cut() -> None:
    error = last = ValueError("0")
    for number in range(1000):
        last.__cause__ = ValueError(str(number))
        last = last.__cause__
    assert len(backtrace(error)) == MAX_LINES


def test_frames_that_carry_the_job_are_left_out() -> None:
    frames = {"__name__": "gresque.worker.threads.thread"}
    exec("def carry(function):\n    function()", frames)
    lines = backtrace(caught(lambda: frames["carry"](inner)))  # type: ignore[operator]
    assert "carry" not in names(lines)
    assert names(lines)[0] == "inner"


def test_code_without_a_module() -> None:
    namespace: dict[str, Any] = {}
    exec("def bare():\n    raise ValueError", namespace)
    del namespace["__builtins__"]
    assert names(backtrace(caught(namespace["bare"])))[0] == "bare"


def fails_in(file: str) -> Any:
    namespace: dict[str, Any] = {"__name__": "jobs"}
    exec(compile("def fails():\n    raise ValueError", file, "exec"), namespace)
    return namespace["fails"]


def test_equal_code_of_different_files_is_told_apart() -> None:
    one, other = fails_in("/app/one.py"), fails_in("/app/other.py")
    assert one.__code__ == other.__code__
    for function, file in ((one, "/app/one.py"), (other, "/app/other.py")):
        for _ in range(2):
            assert backtrace(caught(function))[0] == f"{file}:2:in `fails'"


def test_code_that_is_gone_lends_its_lines_to_no_other() -> None:
    for number in range(100):  # an id is given again as soon as it is free
        file = f"/app/{number}.py"
        assert backtrace(caught(fails_in(file)))[0] == f"{file}:2:in `fails'"


def test_code_that_was_compiled_for_one_job_is_not_kept() -> None:
    """It may be large: what is generated from a template, with the data in it."""
    function = fails_in("/app/generated.py")
    code, key = ref(function.__code__), id(function.__code__)
    assert backtrace(caught(function))[0] == "/app/generated.py:2:in `fails'"
    assert key in _known_code
    del function
    gc.collect()
    assert code() is None
    assert key not in _known_code


def test_each_line_of_a_function_shows_its_own_number() -> None:
    def fails(at: int) -> None:
        if at == 1:
            raise ValueError
        raise ValueError

    first, second = (backtrace(caught(lambda at=at: fails(at)))[0] for at in (1, 2))  # type: ignore[misc]
    start = fails.__code__.co_firstlineno
    assert [first, second] == [f"{__file__}:{start + n}:in `fails'" for n in (2, 3)]


# Exceptions whose class does what it wants


def raises(kind: type[BaseException]) -> Any:
    def get(self: Any, *rest: Any) -> Any:
        raise kind("no")

    return get


ATTRIBUTES = [
    "__context__", "__cause__", "__suppress_context__", "__traceback__", "__notes__", "__class__",
    "__dict__", "args", "__str__", "__repr__", "exceptions",
]  # fmt: skip
BREAKS = [RuntimeError, AttributeError, SystemExit, KeyboardInterrupt, GeneratorExit, JobKilled]


@pytest.mark.parametrize("kind", [*BREAKS, gevent.GreenletExit], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("base", [Exception, ExceptionGroup, JobKilled, BaseException])
def test_no_attribute_is_asked(base: Any, kind: type[BaseException]) -> None:
    """All of them raise; what the interpreter keeps is read all the same."""
    body: dict[str, Any] = {name: property(raises(kind)) for name in ATTRIBUTES}
    body |= {name: raises(kind) for name in ("__str__", "__repr__", "__bool__", "__eq__")}
    body |= {"__hash__": raises(kind), "__getattribute__": raises(kind), "__len__": raises(kind)}
    bad = type("Bad", (base,), body)
    arguments = ("group", [ValueError("member")]) if base is ExceptionGroup else ("x",)

    def fail() -> None:
        try:
            inner()
        except ValueError:
            raise bad(*arguments)  # noqa: B904

    raised = read_raised(caught(fail))
    assert raised.name == f"{__name__}.Bad"
    assert raised.text == f"<no message: {exception_name(kind())} in __str__>"
    assert names(raised.backtrace)[:2] == ["fail", "caught"]
    assert "caused by ValueError: inner" in raised.backtrace
    member = "member 1 of the group: ValueError: member"
    assert (member in raised.backtrace) == (base is ExceptionGroup)


class Rude(str):
    """A text that raises wherever it is used."""

    __getitem__ = __str__ = __repr__ = __format__ = __len__ = raises(RuntimeError)
    __eq__ = __hash__ = encode = isprintable = startswith = raises(RuntimeError)  # type: ignore[assignment]


def test_texts_of_classes_of_their_own() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            return Rude("told")

    Odd.__module__ = Rude("mod\udcff")
    Odd.__qualname__ = Rude("Odd")
    error = Odd()
    error.__notes__ = [Rude("note"), 5, None]
    raised = read_raised(error)
    assert raised == Raised("mod\udcff.Odd", "told\nnote", [])
    assert {type(raised.name), type(raised.text)} == {str}


class Meta(type):
    __name__ = property(raises(RuntimeError))  # type: ignore[assignment]
    __mro__ = property(raises(RuntimeError))  # type: ignore[assignment]
    __getattribute__ = raises(RuntimeError)
    __instancecheck__ = __subclasscheck__ = raises(SystemExit)


def test_a_metaclass_is_not_asked() -> None:
    kind = Meta("Made", (Exception,), {})
    assert exception_name(kind()).endswith("Made")


@pytest.mark.parametrize("module", [5, None, property(raises(RuntimeError)), ["x"]])
def test_a_module_that_is_no_name(module: Any) -> None:
    assert exception_name(type("E", (Exception,), {"__module__": module})()) == "E"


def test_everything_is_bounded() -> None:
    kind = type("N" * 1_000_000, (Exception,), {"__module__": "m" * 1_000_000})
    error = kind("x" * 1_000_000)
    error.__notes__ = ["n" * 1_000_000] * 100
    namespace: dict[str, Any] = {}
    exec(compile("def f():\n    raise ValueError", "f" * 1_000_000, "exec"), namespace)
    error.__cause__ = caught(namespace["f"])
    raised = read_raised(error)
    assert len(raised.name) < 2 * MAX_NAME_CHARS + 10
    assert len(raised.text) == MAX_ERROR_CHARS
    assert "\nnnn" in raised.text, "the notes have a part of it"
    assert max(map(len, raised.backtrace)) <= MAX_LINE_CHARS + MAX_NAME_CHARS + 50


def test_groups_tell_of_their_members_and_notes_stand_in_the_text() -> None:
    deep = ExceptionGroup("deep", [LookupError("a"), caught(inner)])  # type: ignore[list-item]
    group = ExceptionGroup("top", [KeyError("k"), deep])
    group.add_note("seen\nby X")
    raised = read_raised(group)
    assert raised.text == "top (2 sub-exceptions)\nseen\nby X"
    told = [line for line in raised.backtrace if "member" in line]
    assert told == [
        "member 1 of the group: KeyError: 'k'",
        "member 2 of the group: ExceptionGroup: deep (2 sub-exceptions)",
        "member 2.1 of the group: LookupError: a",
        "member 2.2 of the group: ValueError: inner",
    ]
    assert names(raised.backtrace)[-2:] == ["inner", "caught"]


def test_wide_deep_and_cyclic_ones_end() -> None:
    assert len(backtrace(ExceptionGroup("wide", [ValueError(str(n)) for n in range(10_000)]))) < 20
    error: Exception = ValueError("0")
    for number in range(1000):
        error = ExceptionGroup(str(number), [error])
    assert len(backtrace(error)) <= MAX_LINES
    chain = last = ValueError()
    for _ in range(10_000):
        last.__context__ = ValueError()
        last = last.__context__
    assert len(backtrace(chain)) == MAX_LINES
    own = ExceptionGroup("own", [ValueError("x")])
    own.exceptions[0].__context__ = own
    assert backtrace(own) == ["member 1 of the group: ValueError: x"]


def test_many_frames_leave_room_for_the_cause() -> None:
    def down(depth: int) -> None:
        if depth == 0:
            chained()
        down(depth - 1)

    lines = backtrace(caught(lambda: down(300)))
    assert lines[MAX_FRAMES] == "caused by ValueError: inner"


def test_on_one_line_and_as_a_stand_in() -> None:
    assert one_line(ValueError("x")) == "ValueError: x"
    assert one_line(ValueError()) == "ValueError"
    told = "<no message: DirtyExit while the exception was read>"
    assert stand_in(ValueError("x"), DirtyExit()) == Raised("ValueError", told, [])


def test_the_context_is_read_past_its_property() -> None:
    bad = type("Bad", (Exception,), {"__context__": property(raises(RuntimeError))})
    assert isinstance(context_of(caught(lambda: caught_in_passing(bad))), ValueError)


def caught_in_passing(kind: type[Exception]) -> None:
    try:
        inner()
    except ValueError:
        raise kind  # noqa: B904


def test_the_frames_that_carry_a_wait_are_not_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a kill of a job that waits, with those of gevent's compiled code."""
    monkeypatch.setattr(gevent.get_hub(), "print_exception", lambda *arguments: None)
    waiting = gevent.spawn(lambda: gevent.sleep(3600))
    gevent.sleep(0)
    waiting.kill(KeyError("x"))
    lines = backtrace(waiting.exception)
    assert "gevent/" in lines[0]
    assert from_the_job(lines)[0].startswith(f"{__file__}:")
    assert innermost(lines) == from_the_job(lines)[0]


@pytest.mark.parametrize(
    ("lines", "frame"),
    [
        (["/v/lib/python3.13/site-packages/x.py:1:in `a'", "/srv/a.py:2:in `b'"], 1),
        (["/usr/lib/python3.13/json/decoder.py:3:in `c'", "/srv/a.py:2:in `b'"], 1),
        (["/usr/lib/ruby/gems/3.3/gems/x/lib/x.rb:1:in `a'", "/app/a.rb:2:in `b'"], 1),
        (["/gevent/hub.py:1:in `a'", "caused by E: x", "/srv/a.py:2:in `b'"], 2),
        (["/gevent/hub.py:1:in `a'", "/lib/python3.13/x.py:1:in `b'"], 1),
        (["/srv/a.py:2:in `b'", "/srv/b.py:2:in `c'"], 0),
    ],
)
def test_the_innermost_frame_of_the_users_own_code(lines: list[str], frame: int) -> None:
    assert own_frame(lines) == lines[frame]
