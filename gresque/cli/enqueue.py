"""`gresque enqueue`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import msgspec

from gresque.cli.connect import open_store
from gresque.cli.options import setting_options
from gresque.cli.output import counted, write
from gresque.errors import GresqueError, NotEnqueued, PerhapsEnqueued
from gresque.jobs import payload
from gresque.jobs.ids import new_id
from gresque.text import is_utf8, printable

if TYPE_CHECKING:
    from gresque.store.store import Store


LONGEST_SHOWN = 60
"""Characters of a wrong argument or line that its message repeats."""


class Tally:
    """How far a stream of jobs got; its bad line, if one ended it."""

    enqueued = 0
    line = 0
    fault = ""


# Unknown options pass on as arguments, so that -1 can be one.
@click.command(name="enqueue", context_settings={"ignore_unknown_options": True})
@click.argument("queue")
@click.argument("name", metavar="CLASS")
@click.argument("args", metavar="ARGS...", nargs=-1)
@click.option("--kwargs", metavar="JSON", help="Keyword arguments, as a JSON object.")
@setting_options("redis_url", "namespace")
def command(
    flags: dict[str, Any], queue: str, name: str, args: tuple[str, ...], kwargs: str | None
) -> None:
    """Put a job into QUEUE and print its id.

    CLASS is the name under which a worker knows the job; nothing is imported here. Each of ARGS is
    JSON: 42, '"text"', '{"a": 1}', null.

    With - as the only argument, jobs are read from stdin, one JSON text a line: an array of
    positional arguments, or an object of keyword arguments. What --kwargs gives goes with every
    line; the line's own keywords win. Blank lines are skipped. The first line that is wrong ends
    it; the jobs of the lines before it are enqueued then, and stay.

    \b
    Examples:
      gresque enqueue mail myapp.jobs.send_email 42 --kwargs '{"template": "bye"}'
      gresque enqueue file_serve Archive 7 '"master"'
      seq 1 100000 | sed 's/.*/[&]/' | gresque enqueue mail myapp.jobs.send_email -
      jq -c '.users[] | {user_id: .id}' users.json | gresque enqueue mail Greet -
    """
    for label, text in (("QUEUE", queue), ("CLASS", name)):
        _check_name(label, text)
    keywords = _parse_kwargs(kwargs)
    if args == ("-",):
        _enqueue_stream(flags, queue, name, keywords)
        return
    raw, job_id = _encode(name, [_parse_argument(arg) for arg in args], keywords)
    with open_store(flags) as store:
        store.queues.push(queue, raw)
    write([job_id])


def _check_name(label: str, text: str) -> None:
    if not text:
        raise click.UsageError(f"{label} is empty; give a name, such as 'mail'")
    if not is_utf8(text):
        raise click.UsageError(f"{label} {printable(text)} is not UTF-8")


def _parse_kwargs(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    found = _parse_json(text)
    if not isinstance(found, dict):
        raise click.UsageError(
            f"--kwargs {printable(text[:LONGEST_SHOWN])} is not a JSON object; "
            """write one such as --kwargs '{"template": "bye"}'"""
        )
    return found


def _parse_argument(text: str) -> Any:
    found = _parse_json(text)
    if found is _INVALID:
        raise click.UsageError(_explain_argument(text))
    return found


def _explain_argument(text: str) -> str:
    shown = printable(text)
    if text.startswith("--"):
        return f"no such option: {shown}"
    if text == "-":
        return "- reads the jobs from stdin and must be the only argument"
    if not is_utf8(text):
        return f"argument {shown} is not UTF-8"
    if surrogate := payload.lone_surrogate(text.encode()):
        return f"argument {shown[:LONGEST_SHOWN]} has {surrogate}"
    if len(text) > LONGEST_SHOWN:
        return f"argument {shown[:LONGEST_SHOWN]}… is not JSON; a text is written '\"text\"'"
    meant = json.dumps(text, ensure_ascii=not text.isprintable())
    return f"argument {shlex.quote(shown)} is not JSON; for a text write {shlex.quote(meant)}"


_INVALID = object()


def _parse_json(text: str | bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _INVALID


def _encode(name: str, args: list[Any], kwargs: dict[str, Any]) -> tuple[bytes, str]:
    job_id = new_id()
    return payload.encode(name, args, kwargs, job_id), job_id


def _enqueue_stream(flags: dict[str, Any], queue: str, name: str, kwargs: dict[str, Any]) -> None:
    tally = Tally()
    with open_store(flags) as store:
        _push(store, queue, _items(sys.stdin.buffer, name, kwargs, tally), tally)
    if tally.fault:
        raise click.UsageError(
            f"line {tally.line:,}: {tally.fault}; "
            f"{counted(tally.enqueued, 'job')} before it enqueued, to stay"
        )
    write([f"{counted(tally.enqueued, 'job')} enqueued"])


def _push(store: Store, queue: str, items: Iterable[bytes], tally: Tally) -> None:
    try:
        with _progress(store.queues.push_many(queue, items), tally) as pushes:
            for pushed in pushes:
                tally.enqueued += pushed
    except (NotEnqueued, PerhapsEnqueued) as error:
        raise type(error)(f"{error}; {_how_far(tally, error)}") from error
    except KeyboardInterrupt:
        click.echo(f"stopped; {_how_far(tally, None)}", err=True)
        raise


def _how_far(tally: Tally, error: Exception | None) -> str:
    """Where a stream was cut off. Whether its last round trip arrived may not be known."""
    told = f"{counted(tally.enqueued, 'job')} enqueued, those of the lines after them"
    if isinstance(error, NotEnqueued):
        return f"{told} not"
    return f"{told} up to line {tally.line:,} perhaps"


def _progress(pushes: Iterator[int], tally: Tally) -> AbstractContextManager[Iterable[int]]:
    """A bar on stderr when somebody is looking at it; how long the stream is nobody knows."""
    if not sys.stderr.isatty():
        return nullcontext(pushes)
    show: Callable[[int | None], str] = lambda _: f"{tally.enqueued:,}"  # noqa: E731
    return click.progressbar(
        pushes, label="jobs enqueued", item_show_func=show, show_eta=False, file=sys.stderr
    )


def _items(stream: BinaryIO, name: str, kwargs: dict[str, Any], tally: Tally) -> Iterator[bytes]:
    """The payloads of the lines. A wrong line ends them and is noted, so that those before it are
    still pushed."""
    limit = payload.MAX_PAYLOAD_BYTES
    for line in iter(lambda: stream.readline(limit), b""):
        tally.line += 1
        if len(line) == limit:
            tally.fault = f"it is longer than the {limit:,} bytes that a job may have"
            return
        if line.isspace():
            continue
        found = _parse_json(line)
        try:
            if isinstance(found, list):
                yield _encode(name, found, kwargs)[0]
            elif isinstance(found, dict):
                yield _encode(name, [], kwargs | found)[0]
            else:
                surrogate = payload.lone_surrogate(line)
                tally.fault = (
                    f"it has {surrogate}"
                    if surrogate
                    else (
                        "not a JSON array of arguments or object of keyword arguments: "
                        + printable(
                            line[:LONGEST_SHOWN].decode("utf-8", "backslashreplace").rstrip()
                        )
                    )
                )
                return
        except GresqueError as error:
            tally.fault = str(error)
            return
