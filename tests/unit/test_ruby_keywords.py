"""Keywords as Ruby writes them: a last object without a mark, for jobs that are declared so."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
import redis

import gresque
from gresque.jobs import payload
from gresque.jobs.perform import perform_here
from gresque.jobs.unique import key_of, unique_rule

Seen = list[Any]


@pytest.fixture(autouse=True)
def _own(own_registry: None) -> None:
    """These tests declare jobs of one name."""


def one(a: Any, k: Any = 0) -> Any:
    return a, k


def named(a: Any, *, k: Any, m: Any = 0) -> Any:
    return a, k, m


def options(a: Any, **rest: Any) -> Any:
    return a, rest


def more(*args: Any, k: Any = 0) -> Any:
    return args, k


CASES: list[tuple[Callable[..., Any], list[Any], Any]] = [
    (one, ["x", {"k": 1}], ("x", 1)),
    (one, [{"a": "x", "k": 1}], ("x", 1)),
    (one, ["x", {"other": 1}], ("x", {"other": 1})),
    (one, ["x", {"k": 1, "other": 1}], ("x", {"k": 1, "other": 1})),
    (one, ["x", {}], ("x", {})),
    (one, ["x", {"a": 1}], ("x", {"a": 1})),  # `a` has its argument
    (one, [{"k": 1}], ({"k": 1}, 0)),  # else nothing would be left for `a`
    (one, ["x", 1], ("x", 1)),
    (one, ["x", {"k": 2, "_kwargs": True}], ("x", 2)),  # gresque's own
    (named, ["x", {"k": 1}], ("x", 1, 0)),
    (named, ["x", {"m": 2, "k": {"deep": 1}}], ("x", {"deep": 1}, 2)),
    (options, ["x", {"anything": 1}], ("x", {"anything": 1})),
    (options, [{"anything": 1}], ({"anything": 1}, {})),
    (more, [1, 2, {"k": 3}], ((1, 2), 3)),
    (more, [1, {"z": 3}], ((1, {"z": 3}), 0)),
    (more, [{"k": 3}, 1], (({"k": 3}, 1), 0)),
]


def perform(function: Callable[..., Any], args: list[Any], **options: Any) -> Any:
    seen: Seen = []

    @functools.wraps(function)
    def keep(*args: Any, **kwargs: Any) -> None:
        seen.append(function(*args, **kwargs))

    job = gresque.job(queue="q", name="RubyKeywords", **options)(keep)
    perform_here(job.definition, "q", json.dumps({"class": "RubyKeywords", "args": args}).encode())
    return seen[0]


@pytest.mark.parametrize(("function", "args", "got"), CASES, ids=range(len(CASES)))
def test_a_last_object_of_parameters_holds_keywords(
    function: Callable[..., Any], args: list[Any], got: Any
) -> None:
    assert perform(function, args, ruby_keywords=True) == got


def test_without_the_option_it_is_an_argument() -> None:
    assert perform(one, ["x", {"k": 1}]) == ("x", {"k": 1})


def test_what_is_missing_is_named() -> None:
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'k'"):
        perform(named, ["x", {"m": 1}], ruby_keywords=True)


def test_typed_arguments_are_read_after_it() -> None:
    seen: Seen = []

    @gresque.job(queue="q", name="RubyKeywords", ruby_keywords=True)
    def typed(day: date, until: date | None = None) -> None:
        seen.append((day, until))

    raw = b'{"class":"RubyKeywords","args":["2026-01-01",{"until":"2026-01-02"}]}'
    perform_here(typed.definition, "q", raw)
    assert seen == [(date(2026, 1, 1), date(2026, 1, 2))]


def test_hooks_get_them_as_the_job_does() -> None:
    heard: Seen = []

    class RubyHooks(gresque.Job):
        name = "RubyHooks"
        queue = "q"
        ruby_keywords = True

        def perform(a: Any, k: Any = 0) -> None:  # type: ignore[misc]
            raise ValueError("no")

        def before_perform(a: Any, k: Any = 0) -> None:  # type: ignore[misc]
            heard.append((a, k))

        def on_failure(error: Exception, a: Any, k: Any = 0) -> None:  # type: ignore[misc]
            heard.append((a, k))

    raw = json.dumps({"class": RubyHooks.definition.name, "args": ["x", {"k": 1}]}).encode()
    with pytest.raises(ValueError):
        perform_here(RubyHooks.definition, "q", raw)
    assert heard == [("x", 1), ("x", 1)]


def test_dequeue_and_keys_take_both_spellings_for_one_call(
    client: gresque.Client, redis_client: redis.Redis
) -> None:
    @gresque.job(queue="q", name="RubyKeywords", ruby_keywords=True)
    def charge(a: str, k: int = 0) -> None: ...

    rule = unique_rule("RubyKeywords", {"unique": "queued"}, error=ValueError)
    assert rule is not None
    keys = {
        key_of(rule, charge.definition, args, kwargs).digest
        for args, kwargs in [(("x", {"k": 1}), {}), (("x",), {"k": 1}), (("x", 1), {})]
    }
    assert len(keys) == 1
    ruby = b'{"class":"RubyKeywords","args":["x",{"k":1}]}'
    redis_client.sadd("resque:queues", "q")
    for way in ({"k": 1}, {"k": 2}):
        redis_client.rpush("resque:queue:q", ruby)
        assert client.dequeue(charge, "x", **way) == int(way["k"] == 1)
    assert redis_client.llen("resque:queue:q") == 1
    assert client.dequeue(charge, "x", 1) == 1


def test_python_writes_its_own_mark_all_the_same() -> None:
    @gresque.job(queue="q", name="RubyKeywords", ruby_keywords=True)
    def charge(a: str, k: int = 0) -> None: ...

    raw = payload.encode("RubyKeywords", ["x"], {"k": 1}, "7")
    assert json.loads(raw)["args"] == ["x", {"k": 1, "_kwargs": True}]
    perform_here(charge.definition, "q", raw)


def test_a_declaration_that_cannot_be_is_refused() -> None:
    with pytest.raises(gresque.JobDeclarationError, match="ruby_keywords='yes' is unknown"):
        gresque.job(queue="q", name="RubyKeywords", ruby_keywords="yes")(one)  # type: ignore[arg-type]
    with pytest.raises(gresque.JobDeclarationError, match="its parameters are not known"):
        gresque.job(queue="q", name="RubyKeywords", ruby_keywords=True)(max)
