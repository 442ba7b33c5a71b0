"""Arguments that are not shown: passwords, tokens and what declarations and the setting name. Pure.

Everything that shows a payload reads it by `payload.loads` or `payload.for_display`, which leave
out what this module says: log lines, stacks, listings, failed jobs, pages and the JSON API. In
Redis the arguments stay, so that jobs run and can be retried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from inspect import signature
from types import FunctionType
from typing import Any

from gresque.errors import JobDeclarationError

FILTERED = "[filtered]"

NAMES = (
    "passw", "passphrase", "secret", "token", "api_key", "apikey", "access_key", "private_key",
    "authorization", "credential", "card_number", "cvv", "cvc",
)  # fmt: skip
"""An argument, and a member of an object in one, is not shown when one of these is a part of its
name, in upper or lower case."""

MEMBER = "filter"
"""In the envelope of a payload: what the declaration of the job says, for programs that lack its
code. Positions from 0, and names."""

Hidden = tuple[int | str, ...]


class _Names:
    """What this process filters."""

    def __init__(self) -> None:
        self.parts: tuple[str, ...] = NAMES
        self.known: dict[str, bool] = {}
        """Jobs by the million have the same names of arguments."""

    def use(self, names: Iterable[str]) -> None:
        self.parts = (*NAMES, *(_plain(name) for name in names))
        self.known = {}

    def has(self, name: str) -> bool:
        found = self.known.get(name)
        if found is None:
            if len(self.known) > 10_000:  # names may come from data
                self.known = {}
            plain = _plain(name)
            found = self.known[name] = any(part in plain for part in self.parts)
        return found


_names = _Names()


def use(names: Iterable[str]) -> None:
    """Filter these names in this process, beside NAMES."""
    _names.use(names)


def shown(item: dict[str, Any]) -> dict[str, Any]:
    """A payload, with its keyword arguments beside `args`, without the values that are filtered."""
    args, kwargs = item.get("args"), item.get("kwargs")
    hidden = _hidden_in(item.get("gresque"))
    changes: dict[str, Any] = {}
    if isinstance(args, list | tuple):
        new = [
            FILTERED if hidden and position in hidden else _cleaned(value)
            for position, value in enumerate(args)
        ]
        if any(a is not b for a, b in zip(new, args, strict=True)):
            changes["args"] = new
    if isinstance(kwargs, dict):
        named = {
            name: FILTERED if name in hidden or _names.has(name) else _cleaned(value)
            for name, value in kwargs.items()
        }
        if any(named[name] is not kwargs[name] for name in kwargs):
            changes["kwargs"] = named
    return item | changes if changes else item


def hidden_of(job: str, function: Callable[..., Any], given: Any) -> Hidden:
    """What the envelope of a job's payloads says: the positions and names that its declaration
    gives, and the positions of parameters with one of NAMES. Raises JobDeclarationError."""
    if given is not None and (
        isinstance(given, str)
        or not isinstance(given, Sequence)
        or not all(type(each) is int or (type(each) is str and each) for each in given)
        or any(type(each) is int and each < 0 for each in given)
    ):
        raise JobDeclarationError(
            f"job {job}: filter_args={given!r} is not a list of names and positions of arguments; "
            "give one such as ['password', 0]"
        )
    parameters = _parameters(function)
    found = [*(given or ())]
    found += [parameters.index(name) for name in found if name in parameters]
    found += [
        position
        for position, name in enumerate(parameters)
        if any(part in _plain(name) for part in NAMES)
    ]
    return tuple(dict.fromkeys(found))


def _parameters(function: Callable[..., Any]) -> Sequence[str]:
    """The names of those that take a positional argument."""
    if type(function) is FunctionType and not hasattr(function, "__wrapped__"):
        code = function.__code__
        return code.co_varnames[: code.co_argcount]
    try:
        found = signature(function).parameters.values()
    except (TypeError, ValueError):  # some functions made in C have none
        return ()
    return [each.name for each in found if each.kind in _POSITIONAL]


_POSITIONAL = (0, 1)
"""Parameter.POSITIONAL_ONLY and POSITIONAL_OR_KEYWORD."""


def _hidden_in(envelope: object) -> Sequence[Any]:
    found = envelope.get(MEMBER) if isinstance(envelope, dict) else None
    return found if isinstance(found, list) else ()


def _cleaned(value: Any) -> Any:
    """The value itself where nothing in it is filtered."""
    if isinstance(value, dict):
        members = {
            name: FILTERED if _names.has(name) else _cleaned(each) for name, each in value.items()
        }
        return members if any(members[name] is not value[name] for name in value) else value
    if isinstance(value, list):
        items = [_cleaned(each) for each in value]
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    return value


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
