"""Wrong arguments are found at enqueue: which calls fit, and whose are not looked at."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

import gresque
from gresque.client import enqueue as door
from gresque.errors import EnqueueError, WrongArguments
from gresque.jobs import call_check as module
from gresque.jobs.call_check import call_check
from gresque.jobs.definition import JobDefinition


def mail(user_id: int, template: str = "welcome", *, urgent: bool = False) -> None: ...


def only(user_id: int, /, **options: Any) -> None: ...


def many(first: int, *others: int) -> None: ...


class Sender:
    def send(self, user_id: int) -> None: ...


def with_session(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function("session", *args, **kwargs)

    return wrapper


def shown(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that shows another signature than that of what it calls."""

    @functools.wraps(function)
    def wrapper(user_id: int, template: str) -> Any: ...

    wrapper.__signature__ = "of another function"  # type: ignore[attr-defined]
    return wrapper


class Caller:
    def __call__(self, user_id: int) -> None: ...


FITTING: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    (mail, (1,), {}),
    (mail, (1, "bye"), {}),
    (mail, (1,), {"template": "bye", "urgent": True}),
    (mail, (), {"urgent": True, "user_id": 1}),
    (only, (1,), {"user_id": 2, "any": 3}),
    (many, tuple(range(500)), {}),
    (Sender().send, (1,), {}),
    (functools.partial(mail, 1), (), {"template": "bye"}),
]


@pytest.mark.parametrize(("function", "args", "kwargs"), FITTING, ids=range(len(FITTING)))
def test_what_fits(function: Any, args: Any, kwargs: Any) -> None:
    check = call_check("mail", function)
    assert check is not None
    check(args, kwargs)
    check(args, kwargs)


TAKES = "job mail takes (user_id, template='welcome', *, urgent=False), not "
WRONG: list[tuple[Any, tuple[Any, ...], dict[str, Any], str]] = [
    (mail, (), {}, f"{TAKES}0 positional arguments: missing a required argument: 'user_id'"),
    (mail, (1, 2, 3), {}, f"{TAKES}3 positional arguments: too many positional arguments"),
    (
        mail, (1,), {"tmplate": "bye"},
        f"{TAKES}1 positional argument and the keyword tmplate: "
        "got an unexpected keyword argument 'tmplate'",
    ),
    (
        mail, (1,), {"user_id": 1, "urgent": True},
        f"{TAKES}1 positional argument and the keywords user_id, urgent: "
        "multiple values for argument 'user_id'",
    ),
    (
        many, (), {},
        "job mail takes (first, *others), not 0 positional arguments: "
        "missing a required argument: 'first'",
    ),
    (
        Sender().send, (), {},
        "job mail takes (user_id), not 0 positional arguments: "
        "missing a required argument: 'user_id'",
    ),
    (
        functools.partial(mail, 1), (1, 2), {},
        "job mail takes (template='welcome', *, urgent=False), not 2 positional arguments: "
        "too many positional arguments",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("function", "args", "kwargs", "said"), WRONG, ids=range(len(WRONG)))
def test_what_does_not_fit(function: Any, args: Any, kwargs: Any, said: str) -> None:
    check = call_check("mail", function)
    assert check is not None
    with pytest.raises(WrongArguments) as raised:
        check(args, kwargs)
    assert str(raised.value) == said


def test_a_call_that_fits_says_nothing_of_another() -> None:
    check = call_check("mail", mail)
    assert check is not None
    check((1,), {"template": "bye"})
    for args, kwargs in [((), {"template": "bye"}), ((1, 2), {"template": "bye"}), ((), {})]:
        with pytest.raises(WrongArguments):
            check(args, kwargs)


UNKNOWN = [
    lambda *args, **kwargs: None,
    with_session(mail),
    shown(mail),
    Caller(),
    print,
    functools.partial(with_session(mail), 1),
    functools.partial(mail, 1, 2, 3),
]


@pytest.mark.parametrize("function", UNKNOWN, ids=range(len(UNKNOWN)))
def test_what_is_not_checked(function: Any) -> None:
    assert call_check("mail", function) is None


def test_forms_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORMS_KEPT", 3)
    check = call_check("mail", many)
    assert check is not None
    for count in range(1, 10):
        check(tuple(range(count)), {})
    assert check.fitting == {1, 2, 3}
    with pytest.raises(WrongArguments):
        check((), {})


def test_a_message_is_one_line_of_bounded_length() -> None:
    def wide(a: Any = "x" * 10_000, b: Any = "\n") -> None: ...

    check = call_check("mail", wide)
    assert check is not None
    with pytest.raises(WrongArguments) as raised:
        check((), {"k" * 10_000: 1})
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 1000


def refuse(queue: str, raws: list[bytes]) -> None:
    raise AssertionError("nothing may be pushed")


def test_enqueue_pushes_no_job_whose_call_does_not_fit() -> None:
    definition = JobDefinition("mail", "q", mail)
    with pytest.raises(EnqueueError, match="too many positional"):
        door.enqueue(refuse, "q", definition, (1, 2, 3), {})
    with pytest.raises(TypeError, match="job 1 of the bulk: job mail takes"):
        list(door.enqueue_bulks(refuse, "q", definition, [((1,), {}), ((), {})]))


def test_hooks_see_no_call_that_does_not_fit() -> None:
    class Checked(gresque.Job):
        queue = "q"
        name = "test_call_check.Checked"

        def perform(user_id: int) -> None: ...  # type: ignore[misc]

        def before_enqueue(*args: Any) -> None:
            raise AssertionError("it must not be called")

    with pytest.raises(WrongArguments):
        gresque.Client(inline=True).enqueue(Checked)


def test_a_name_of_another_program_takes_anything() -> None:
    definition = door.definition_of("Ruby::Mail", "q")
    assert definition.check_call is None
