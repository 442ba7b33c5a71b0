"""docs/api.md has everything public, as it is, and nothing else."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import gresque
from gresque.client.declare import JobFunction
from gresque.jobs.hooks import JOB_HOOKS, PROCESS_HOOKS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "api.md").read_text()
CELLS = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
"""The first cell of each row of a table."""

NAMES = [code for cell in CELLS for code in re.findall(r"`([^`]+)`", cell)]
CALLS = {code.partition("(")[0]: code for code in NAMES if "(" in code}


def section(title: str) -> str:
    return re.split(r"^#+ ", PAGE.partition(f"# {title}\n")[2], maxsplit=1, flags=re.M)[0]


def first_cells(title: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", section(title), re.MULTILINE)


def public(owner: type) -> set[str]:
    parts = [base for base in owner.__mro__ if base.__module__.startswith("gresque")]
    return {name for part in parts for name in vars(part) if not name.startswith("_")}


def signature(function: Any) -> str:
    """As the page writes it: without types, `self` and the mark for positional-only."""
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty, kind=_kind(parameter))
        for name, parameter in signature.parameters.items()
        if name != "self"
    ]
    return str(inspect.Signature(parameters))


def _kind(parameter: inspect.Parameter) -> Any:
    kind = parameter.kind
    return parameter.POSITIONAL_OR_KEYWORD if kind is parameter.POSITIONAL_ONLY else kind


def test_every_public_name_is_there_and_no_other() -> None:
    named = {match for code in NAMES for match in re.findall(r"gresque\.(\w+)", code)}
    assert named == set(gresque.__all__)


def test_no_page_shows_a_name_that_does_not_exist() -> None:
    modules = {path.stem for path in Path(gresque.__file__).parent.iterdir()}
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
        used = set(re.findall(r"\bgresque\.([A-Za-z]\w*)", code))
        assert used <= {*gresque.__all__, *modules}, page.name


def test_every_method_of_a_client_is_there_and_no_other() -> None:
    named = {code.partition("(")[0][7:] for code in NAMES if code.startswith("client.")}
    assert named == public(gresque.Client)


def test_the_arguments_of_a_client_are_there() -> None:
    arguments = set(inspect.signature(gresque.Client).parameters)
    assert arguments == {cell for cell in first_cells("Clients") if "." not in cell}


@pytest.mark.parametrize(
    "name", [name for name in CALLS if re.match(r"gresque\.|client\.", name)], ids=str
)
def test_a_call_is_shown_as_it_is(name: str) -> None:
    owner, _, attribute = name.partition(".")
    function = getattr(gresque if owner == "gresque" else gresque.Client, attribute)
    assert CALLS[name] == name + signature(function)


VERBS = {
    "enqueue", "enqueue_to", "enqueue_in", "enqueue_at", "enqueue_unique", "enqueue_debounce",
}  # fmt: skip
"""Of a declared job. Each has an "a" before it for programs with an event loop."""


def test_the_options_of_a_job() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section("Options of a job"), re.MULTILINE)
    parameters = inspect.signature(gresque.job).parameters
    assert dict(rows) == {
        name: repr(parameter.default).replace("'", '"') for name, parameter in parameters.items()
    }
    assert public(gresque.Job) == {
        *parameters, *VERBS, *(f"a{verb}" for verb in VERBS), "options",
    }  # fmt: skip


def test_what_a_declared_function_can_do() -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| `gresque.JobFunction`")]
    verbs = public(JobFunction) - {"definition"}
    assert {*VERBS, "options"} == set(re.findall(r"`\.(\w+)\(", row))
    assert {*VERBS, *(f"a{verb}" for verb in VERBS), "options", *JOB_HOOKS} == verbs


def test_the_hooks() -> None:
    assert first_cells("Hooks of a job") == list(JOB_HOOKS)
    wanted = [f"@gresque.{hook}" for hook in PROCESS_HOOKS]
    assert first_cells("Hooks of the worker's processes") == wanted


def test_the_exceptions_and_their_bases() -> None:
    rows = re.findall(r"^\| `gresque\.(\w+)` \| (.*?) \|", section("Exceptions"), re.MULTILINE)
    shown = {name: re.findall(r"`(\w+)`", bases) for name, bases in rows}
    everything = {name: getattr(gresque, name) for name in gresque.__all__}
    assert shown == {
        name: [base.__name__ for base in value.__bases__]
        for name, value in everything.items()
        if isinstance(value, type) and issubclass(value, BaseException)
    }


def test_the_parts_of_a_failure() -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| `gresque.Failure` ")]
    parts = set(re.findall(r"`(\w+)`", row.partition(":")[2]))
    assert parts == {*gresque.Failure.__dataclass_fields__, "payload"}
