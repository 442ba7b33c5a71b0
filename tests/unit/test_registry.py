"""The registry: the jobs that are declared, by their names."""

from __future__ import annotations

from typing import Any

import pytest

from gresque.errors import (
    JobDeclarationError,
    UnknownJob,
)
from gresque.jobs.definition import JobDefinition
from gresque.jobs.registry import Registry

pytestmark = pytest.mark.usefixtures("own_registry")


def module_level() -> None: ...


def definition(function: Any, name: str = "x") -> JobDefinition:
    return JobDefinition(name=name, queue="q", function=function)


def test_two_jobs_of_one_name_are_refused() -> None:
    def one() -> None: ...
    def two() -> None: ...

    own = Registry()
    own.add(definition(one))
    with pytest.raises(JobDeclarationError, match="two jobs are named 'x'") as caught:
        own.add(definition(two))
    assert "one" in str(caught.value)
    assert "two" in str(caught.value)
    assert own.get("x").function is one
    assert len(own) == 1


def test_a_reloaded_module_replaces_its_jobs() -> None:
    def make() -> Any:
        def job() -> None: ...

        return job

    own, first, second = Registry(), definition(make()), definition(make())
    own.add(first)
    own.add(second)
    assert own.get("x") is second
    assert list(own) == [second]


def test_unknown_jobs_are_explained() -> None:
    own = Registry()
    assert own.find("x") is None
    with pytest.raises(UnknownJob, match=r"no job named 'x' is declared here; require its module"):
        own.get("x")
    own.add(definition(module_level, "app.tasks.send"))
    assert own.explain_unknown("tasks.send") == (
        "no job named 'tasks.send' is declared here (did you mean 'app.tasks.send'?); "
        "require its module with -r, or check the name"
    )
    assert "'a\\nb'" in own.explain_unknown("a\nb"), "a name from outside stays on one line"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("app.mail.sned", " (did you mean 'app.mail.send' or 'app.mail.send_all'?)"),
        ("mail.send", " (did you mean 'app.mail.send' or 'app.sms.send'?)"),
        ("app.mail.send_al", " (did you mean 'app.mail.send_all' or 'app.mail.send'?)"),
        ("Archive", ""),
        ("app.mail.send" * 100, ""),
    ],
    ids=range(5),
)
def test_the_nearest_names_are_suggested(name: str, nearest: str) -> None:
    own = Registry()
    for known in ("app.mail.send", "app.sms.send", "app.mail.send_all", "app.reports.daily"):
        own.add(definition(module_level, known))
    assert own.suggest(name) == nearest
    own.add(definition(module_level, f"{name}s"[:150]))
    assert f"{name}s"[:150] in own.suggest(name) or len(name) > 200, "a new job counts at once"


def test_suggestions_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gresque.jobs.registry.SUGGESTIONS_KEPT", 3)
    own = Registry()
    for number in range(10):
        own.suggest(str(number))
    assert len(own._suggestions) <= 3
