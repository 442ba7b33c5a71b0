"""Log records: each is one, whatever it holds and wherever it goes."""

from __future__ import annotations

import gc
import io
import json
import logging
import os
import re
import sys
import warnings
from typing import Any

import pytest

from gresque import logs
from gresque.errors import JobKilled
from gresque.logs import (
    UNCUT,
    JsonFormatter,
    RecordHandler,
    TextFormatter,
    fields,
    set_context,
)
from gresque.raised import MAX_ERROR_CHARS

NASTY = "\x1b]0;title\x07\r\x9b2J\u202e\u2028\u200b\x85\udcff\x00\ttext"
START = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \w+ +\S+\[\d+\] ")


class Fixture:
    def __init__(self, formatter: logging.Formatter, encoding: str = "utf-8") -> None:
        self.bytes = io.BytesIO()
        # Strict, as sys.stderr can be by PYTHONIOENCODING.
        self.stream = io.TextIOWrapper(self.bytes, encoding=encoding, errors="strict")
        handler = RecordHandler(self.stream)
        handler.setFormatter(formatter)
        self.log = logging.Logger("gresque.test")
        self.log.addHandler(handler)

    @property
    def text(self) -> str:
        return self.bytes.getvalue().decode()


def raises(kind: type[BaseException]) -> Any:
    def get(self: Any, *rest: Any) -> Any:
        raise kind("no")

    return get


class Bad(Exception):
    __str__ = __repr__ = raises(SystemExit)
    __context__ = __cause__ = property(raises(KeyError))  # type: ignore[assignment]
    __traceback__ = __notes__ = property(raises(KeyError))  # type: ignore[assignment]


def test_a_record_is_a_line() -> None:
    out = Fixture(TextFormatter())
    out.log.info("said %s", "é☃ text")
    assert START.sub("", out.text) == "said é☃ text\n"


def test_further_lines_are_indented_and_nothing_is_raw() -> None:
    out = Fixture(TextFormatter())
    forged = "2026-11-26T00:00:00.000Z INFO    gresque.master[1] forged"
    out.log.info("one\n%s\n%s\n", forged, NASTY, extra={"other": NASTY})
    first, second, third = out.text.splitlines()
    assert START.match(first)
    assert second == f"    {forged}"
    assert third == (r"    \x1b]0;title\x07\r\x9b2J\u202e\u2028\u200b\x85\xff\x00\ttext")


def test_json_is_ascii_and_one_line() -> None:
    out = Fixture(JsonFormatter())
    out.log.info("é%s\n", NASTY, extra={"job": {"id": NASTY}, "odd": object})
    assert out.text.isascii()
    assert out.text.count("\n") == 1
    told = json.loads(out.text)
    shown = NASTY.replace("\udcff", r"\udcff")  # many readers refuse one half of a pair
    assert (told["message"], told["job"]) == (f"é{shown}\n", {"id": shown})


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252", "utf-16"])
def test_a_stream_of_any_encoding(encoding: str) -> None:
    out = Fixture(TextFormatter(), encoding)
    out.log.info("é ☃ \udcff")
    assert "é ☃ \udcff".isprintable() is False
    told = out.bytes.getvalue().decode(encoding)
    assert told.endswith(
        {"ascii": r"\xe9 \u2603 \xff", "latin-1": r"é \u2603 \xff", "cp1252": r"é \u2603 \xff"}.get(
            encoding, r"é ☃ \xff"
        )
        + "\n"
    )


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_messages_are_cut_unless_they_are_meant_to_be_long(formatter: logging.Formatter) -> None:
    out = Fixture(formatter)
    out.log.info("x" * 1_000_000)
    assert len(out.text) < MAX_ERROR_CHARS + 200
    out.log.info("x" * 1_000_000, extra=UNCUT)
    assert len(out.text) > 1_000_000
    assert "uncut" not in out.text


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
@pytest.mark.parametrize(
    ("message", "argument"),
    [("%r", Bad), ("%s", Bad), ("%d", str), ("%s %s", int), ("%(name)s", int), ("", None)],
)
def test_arguments_that_raise(
    capfd: pytest.CaptureFixture[str], formatter: logging.Formatter, message: str, argument: Any
) -> None:
    out = Fixture(formatter)
    try:
        raise Bad("x")
    except Bad as error:
        told = (type(error), error, None)
        if argument is None:
            out.log.error(Bad(), exc_info=told)
        else:
            out.log.error(message, argument(), exc_info=told)
    out.log.info("next")
    assert "cannot be shown" in out.text
    assert "in `test_arguments_that_raise'" in out.text
    assert out.text.endswith(("next\n", '"next"}\n'))
    assert capfd.readouterr().err == ""


def test_exceptions_are_shown_as_in_an_entry() -> None:
    out = Fixture(TextFormatter())
    try:
        raise ValueError("two\nlines")
    except ValueError:
        out.log.exception("it raised", stack_info=True)
    lines = out.text.splitlines()
    assert START.match(lines[0])
    assert lines[1:3] == ["    ValueError: two", "    lines"]
    assert re.fullmatch(r"      \S+test_logs\.py:\d+:in `test_exceptions_.+\'", lines[3])
    assert "    Stack (most recent call last):" in lines
    assert all(line.startswith("    ") for line in lines[1:])


def test_json_of_what_has_none() -> None:
    ring: dict[Any, Any] = {}
    ring["ring"] = ring
    out = Fixture(JsonFormatter())
    out.log.info("x", extra={"ring": ring, "keys": {(1, 2): 3}, "bad": Bad()})
    told = json.loads(out.text)
    assert told["message"] == "x"
    assert "SystemExit in __str__" in told["bad"]


def test_json_stays_json_and_the_other_fields_what_they_are() -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    nan, ring = float("nan"), [1]
    ring.append(ring)  # type: ignore[arg-type]
    out = Fixture(JsonFormatter())
    ratios = {"a": [nan, 1.5, "\U0001f600"], "b": (float("-inf"),)}
    out.log.info("😀", extra={"ratio": nan, "ratios": ratios, "size": 3, "job_id": None})
    out.log.info("x", extra={"ring": ring, "huge": 10**5000, "size": 3, "event": "mine"})
    first, second = (json.loads(each, parse_constant=refuse) for each in out.text.splitlines())
    assert first["ratio"] is None
    assert first["ratios"] == {"a": [None, 1.5, "😀"], "b": [None]}
    assert (first["message"], first["size"], first["pid"]) == ("😀", 3, os.getpid())
    assert "job_id" not in first
    assert (second["ring"], second["size"], second["pid"]) == ("[1, [...]]", 3, os.getpid())
    assert "ValueError" in second["huge"]


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_the_kill_of_a_job_passes_through_a_record(formatter: logging.Formatter) -> None:
    class Killed:
        __str__ = raises(JobKilled)

    out = Fixture(formatter)
    for given in (("%s", Killed()), (Killed(),)):
        with pytest.raises(JobKilled):
            out.log.info(*given)
    assert out.text == ""


def test_what_python_would_print_is_a_record(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for owner, name in ((warnings, "showwarning"), (sys, "unraisablehook"), (sys, "excepthook")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    logs._log_what_python_prints()

    class Odd:
        __del__ = raises(KeyError)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning("old\nway", UserWarning, "/app/m.py", 3)
    Odd()
    gc.collect()
    error = ValueError("bad")
    sys.excepthook(type(error), error, None)
    warned, ignored, uncaught = caplog.records
    assert (warned.name, warned.getMessage()) == (
        "py.warnings",
        "/app/m.py:3: UserWarning: old\nway",
    )
    assert "exception ignored in" in ignored.getMessage()
    assert ignored.exc_info is not None
    assert ignored.exc_info[0] is KeyError
    assert uncaught.exc_info is not None
    assert uncaught.exc_info[1] is error


def test_a_record_is_formatted_outside_the_lock() -> None:
    out = Fixture(TextFormatter())
    (handler,) = out.log.handlers
    seen = []

    class Asks:
        def __str__(self) -> str:
            seen.append(handler.lock._is_owned())  # type: ignore[union-attr]
            return "asked"

    out.log.info("%s", Asks())
    assert seen == [False]
    assert out.text.endswith("asked\n")


def test_fields_are_shown_by_json_and_not_by_text() -> None:
    out = Fixture(JsonFormatter())
    given = fields("job_failed", job_id="1f", job="Mail", queue="mail", seconds=0.5, attempt=None)
    out.log.error("job %s failed", "Mail", extra=given)
    record = json.loads(out.text)
    shown = {name: record[name] for name in ("event", "job_id", "job", "queue", "seconds")}
    assert shown == {
        "event": "job_failed", "job_id": "1f", "job": "Mail", "queue": "mail", "seconds": 0.5,
    }  # fmt: skip
    assert "attempt" not in record
    assert (record["message"], record["pid"]) == ("job Mail failed", os.getpid())
    out = Fixture(TextFormatter())
    out.log.error("job %s failed", "Mail", extra=given)
    assert START.sub("", out.text) == "job Mail failed\n"


def test_an_application_may_have_a_job_id_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    job = {"job_id": "1f", "job": "Mail", "queue": "mail", "attempt": 2}
    monkeypatch.setattr(logs, "_job", lambda: job)
    text, json_out = Fixture(TextFormatter()), Fixture(JsonFormatter())
    for out in (text, json_out):
        out.log.name = "app"
        out.log.info("hired", extra={"job_id": 5})
        out.log.info("hired", extra={"job_id": 5, "event": "hire"})
    lines = [START.sub("", line) for line in text.text.splitlines()]
    assert lines == ["[Mail 1f from mail, attempt 2] hired"] * 2
    for line in json_out.text.splitlines():
        record = json.loads(line)
        assert (record["job_id"], record["job"], record["attempt"]) == (5, "Mail", 2)


def test_the_context_of_a_process_is_in_all_its_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gresque.logs._context", {})
    set_context(worker="host:1:mail")
    out = Fixture(JsonFormatter())
    out.log.info("one")
    out.log.info("two", extra=fields("two"))
    assert [json.loads(line)["worker"] for line in out.text.splitlines()] == ["host:1:mail"] * 2
