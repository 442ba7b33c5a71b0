"""`gresque enqueue`."""

from __future__ import annotations

import json
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, BinaryIO

import click
import msgspec

from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import Output, complain, counted, json_option
from gresque.client.client import Client
from gresque.client.default import adopt, client_of
from gresque.client.enqueue import Arguments, definition_of, enqueue_bulks
from gresque.client.unique import unique_bulks
from gresque.errors import DuplicateJob, GresqueError, NotEnqueued, PerhapsEnqueued
from gresque.jobs import payload
from gresque.jobs.ids import JobId
from gresque.jobs.middleware import enqueue_chain
from gresque.jobs.modules import import_jobs
from gresque.jobs.registry import registry
from gresque.raised import one_line
from gresque.text import is_utf8, printable

LONGEST_SHOWN = 60
"""Characters of a wrong argument or line that its message repeats."""


class Tally:
    """How far a stream of jobs got; its bad line, if one ended it."""

    enqueued = 0
    duplicates = 0
    line = 0
    jobs = 0
    fault = ""

    def note_fault(self, error: object) -> None:
        self.fault = str(error)

    @property
    def rejected(self) -> int:
        return self.jobs - self.enqueued - self.duplicates

    def count(self, ids: Sequence[JobId]) -> None:
        duplicates = sum(job_id.duplicate for job_id in ids)
        self.duplicates += duplicates
        self.enqueued += len(ids) - duplicates

    @property
    def as_json(self) -> dict[str, int]:
        more = {"duplicates": self.duplicates} if self.duplicates else {}
        return {"enqueued": self.enqueued, "rejected": self.rejected, **more}

    def __str__(self) -> str:
        hooks = f", {self.rejected:,} rejected by a before_enqueue hook" if self.rejected else ""
        others = f", {counted(self.duplicates, 'duplicate')} not" if self.duplicates else ""
        return f"{counted(self.enqueued, 'job')} enqueued{others}{hooks}"


# Unknown options pass on as arguments, so that -1 can be one.
@click.command(name="enqueue", context_settings={"ignore_unknown_options": True})
@click.argument("queue")
@click.argument("name", metavar="CLASS")
@click.argument("args", metavar="ARGS...", nargs=-1)
@click.option("--kwargs", metavar="JSON", help="Keyword arguments, as a JSON object.")
@click.option("-v", "--verbose", is_flag=True, help="Print the traceback of a hook that raises.")
@setting_options("redis_url", "namespace", "require", "enqueue_wait_replicas")
@json_option
def command(
    flags: dict[str, Any],
    queue: str,
    name: str,
    args: tuple[str, ...],
    kwargs: str | None,
    verbose: bool,
    as_json: bool,
) -> int:
    """Put a job into QUEUE and print its id.

    CLASS is the name under which a worker knows the job. With -r the module that declares it is
    imported, and the job's own hooks and settings apply as in a program that enqueues it. Each of
    ARGS is JSON: 42, '"text"', '{"a": 1}', null.

    With - as the only argument, jobs are read from stdin, one JSON text a line: an array of
    positional arguments, or an object of keyword arguments. What --kwargs gives goes with every
    line; the line's own keywords win. Blank lines are skipped. The first line that is wrong ends
    it; the jobs of the lines before it are enqueued then, and stay.

    For a unique job that is not enqueued, the printed id is that of the job that does its work.

    With --json the id is printed as {"id": …, "queue": …, "class": …}, the end of a stream as
    {"enqueued": …, "rejected": …, "queue": …, "class": …}. For unique jobs that were not enqueued
    the first has "duplicate": true, the second their number as "duplicates". Exit code: 0 when all
    is enqueued, 1 when a hook rejected the job or raised, or Redis is away, 2 for wrong input.

    \b
    Examples:
      gresque enqueue mail myapp.jobs.send_email 42 --kwargs '{"template": "bye"}'
      gresque enqueue file_serve Archive 7 '"master"'
      gresque enqueue -r myapp.jobs mail myapp.jobs.send_email 42 --json | jq -r .id
      seq 1 100000 | sed 's/.*/[&]/' | gresque enqueue mail myapp.jobs.send_email -
      jq -c '.users[] | {user_id: .id}' users.json | gresque enqueue mail Greet -
    """
    for label, text in (("QUEUE", queue), ("CLASS", name)):
        _check_name(label, text)
    keywords = _parse_kwargs(kwargs)
    output, job = Output(as_json), {"queue": queue, "class": name}
    with _open_client(flags) as client, _hooks_explained(name, verbose):
        _hint_at_a_slip(name)
        if args == ("-",):
            tally = _enqueue_stream(client, queue, name, keywords)
            output.document({**tally.as_json, **job}, lambda: [str(tally)])
            return 0
        positional = [_parse_argument(arg) for arg in args]
        job_id = client.enqueue_to(queue, name, *positional, **keywords)
    if job_id is None:
        some = "an enqueue middleware, or " if enqueue_chain.functions else ""
        complain(f"gresque: {some}a before_enqueue hook of {printable(name)} rejected the job")
    if job_id is not None or as_json:
        more = {"duplicate": True} if job_id is not None and job_id.duplicate else {}
        output.document({"id": job_id, **more, **job}, lambda: [str(job_id)])
    return 1 if job_id is None else 0


@contextmanager
def _open_client(flags: dict[str, Any]) -> Iterator[Client]:
    settings = load_settings(flags)
    if settings.require:
        adopt(settings)  # the modules and the hooks enqueue with them
    for module in settings.require:
        import_jobs(module)
    client = client_of(settings)
    try:
        yield client
    finally:
        client.close()


def _hint_at_a_slip(name: str) -> None:
    """A name that -r does not declare is that of another program's job, or a slip."""
    meant = "" if registry.find(name) else registry.suggest(name)
    if meant:
        complain(f"gresque: {printable(name)} is not declared in the modules of -r{meant}")


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


@contextmanager
def _hooks_explained(name: str, verbose: bool) -> Iterator[None]:
    """A hook of the job or a middleware that raises is one line, which says whether the job is
    enqueued."""
    try:
        yield
    except Exception as error:
        hook, enqueued = _hook_that_raised(name, error)
        if not hook:
            raise
        if verbose:
            click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        complain(
            f"gresque: {hook} raised {one_line(error)}; the job is "
            f"{'' if enqueued else 'not '}enqueued"
            f"{'' if verbose else ' (-v shows where it was raised)'}"
        )
        raise click.exceptions.Exit(1) from None


def _hook_that_raised(name: str, error: Exception) -> tuple[str, bool]:
    """The enqueue hook of the job, or the middleware, from which the error came, and whether that
    is called after the push; no name when it came from elsewhere."""
    definition = registry.find(name)
    frames = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    for kind in ("before_enqueue", "after_enqueue") if definition else ():
        for hook in getattr(definition.hooks, kind):  # type: ignore[union-attr]
            if getattr(hook, "__code__", None) in frames:
                return f"hook {hook.__name__} of {name}", kind == "after_enqueue"
    for middleware in () if isinstance(error, GresqueError) else enqueue_chain.functions:
        if getattr(middleware, "__code__", None) in frames:
            return f"enqueue middleware {middleware.__name__}", False
    return "", False


def _enqueue_stream(client: Client, queue: str, name: str, kwargs: dict[str, Any]) -> Tally:
    tally = Tally()
    definition = definition_of(name, queue)
    rule, calls = definition.unique, _calls(sys.stdin.buffer, kwargs, tally)
    bulks = (
        enqueue_bulks(client.push, queue, definition, calls, tally.note_fault)
        if rule is None
        else unique_bulks(
            client._reached, queue, definition, rule, calls, None, on_wrong=tally.note_fault
        )
    )
    try:
        with _progress(bulks, tally) as pushes:
            for ids in pushes:
                tally.count(ids)
    except (NotEnqueued, PerhapsEnqueued, DuplicateJob) as error:
        raise type(error)(f"{error}; {_how_far(tally, error)}") from error
    except BaseException:  # Ctrl-C, or a hook raised
        if tally.line:
            click.echo(f"stopped; {_how_far(tally, None)}", err=True)
        raise
    if tally.fault:
        raise click.UsageError(
            f"line {tally.line:,}: {tally.fault}; "
            f"{counted(tally.enqueued, 'job')} before it enqueued, to stay"
        )
    return tally


def _how_far(tally: Tally, error: Exception | None) -> str:
    """Where a stream was cut off. Whether its last round trip arrived may not be known."""
    done = f"{counted(tally.enqueued, 'job')} enqueued, those of the lines after them"
    if isinstance(error, NotEnqueued | DuplicateJob):
        return f"{done} not"
    return f"{done} up to line {tally.line:,} perhaps"


def _progress(
    bulks: Iterator[list[JobId]], tally: Tally
) -> AbstractContextManager[Iterable[list[JobId]]]:
    """A bar on stderr when that is a terminal; the length of the stream is not known."""
    if not sys.stderr.isatty():
        return nullcontext(bulks)
    show: Callable[[list[JobId] | None], str] = lambda _: f"{tally.enqueued:,}"  # noqa: E731
    return click.progressbar(
        bulks, label="jobs enqueued", item_show_func=show, show_eta=False, file=sys.stderr
    )


def _calls(stream: BinaryIO, kwargs: dict[str, Any], tally: Tally) -> Iterator[Arguments]:
    """The arguments of each line. A wrong line ends them and is noted, so that the jobs of those
    before it are still pushed."""
    limit = payload.MAX_PAYLOAD_BYTES
    for line in iter(lambda: stream.readline(limit), b""):
        tally.line += 1
        if len(line) == limit:
            tally.note_fault(f"it is longer than the {limit:,} bytes that a job may have")
            return
        if line.isspace():
            continue
        found = _parse_json(line)
        if not isinstance(found, list | dict):
            tally.note_fault(_explain_line(line))
            return
        tally.jobs += 1
        yield (found, kwargs) if isinstance(found, list) else ([], kwargs | found)


def _explain_line(line: bytes) -> str:
    if surrogate := payload.lone_surrogate(line):
        return f"it has {surrogate}"
    shown = printable(line[:LONGEST_SHOWN].decode("utf-8", "backslashreplace").rstrip())
    return f"not a JSON array of arguments or object of keyword arguments: {shown}"
