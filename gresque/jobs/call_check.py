"""Whether the arguments of a job fit its function: asked when it is enqueued, where the mistake
is. Pure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature, signature
from types import FunctionType, MethodType
from typing import Any

from gresque.errors import WrongArguments
from gresque.text import printable

FORMS_KEPT = 1000
"""Of a function that takes `*args` or `**kwargs` there may be any number."""
LONGEST_SHOWN = 200


class CallCheck:
    """The calls that a function takes.

    Whether a call fits depends on its form alone: the number of its positional arguments and the
    names of the others. A program uses few forms, so each is bound to the signature once.
    """

    __slots__ = ("_name", "_signature", "fitting")

    def __init__(self, name: str, signature: Signature) -> None:
        self._name = name
        self._signature = signature
        self.fitting: set[object] = set()
        """The forms that fit; one without keywords is its number of arguments alone."""

    def __call__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise WrongArguments when the function cannot be called so."""
        form = (len(args), *kwargs) if kwargs else len(args)
        if form in self.fitting:
            return
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise WrongArguments(self._explain(args, kwargs, error)) from None
        if len(self.fitting) < FORMS_KEPT:
            self.fitting.add(form)

    def _explain(self, args: Sequence[Any], kwargs: Mapping[str, Any], error: TypeError) -> str:
        given = f"{len(args)} positional argument{'' if len(args) == 1 else 's'}"
        if kwargs:
            given += f" and the keyword{'' if len(kwargs) == 1 else 's'} {', '.join(kwargs)}"
        return printable(
            f"job {self._name} takes {_shown(self._signature)}, not {_cut(given)}: "
            f"{_cut(str(error))}"
        )


def call_check(name: str, function: Callable[..., Any]) -> CallCheck | None:
    """The check of a job; None when nothing is known of what its function takes.

    Only the outermost function counts, and only a plain one: a decorator may add arguments of its
    own, whatever signature it shows (functools.wraps, wrapt).
    """
    if not _is_plain(function):
        return None
    try:
        found = signature(function, follow_wrapped=False)
    except ValueError:  # a partial of more arguments than its function takes
        return None
    kinds = [parameter.kind for parameter in found.parameters.values()]
    if kinds == [Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD]:
        return None
    return CallCheck(name, found)


def _is_plain(function: Any) -> bool:
    if type(function) is functools.partial:
        return _is_plain(function.func)
    if type(function) is MethodType:
        return _is_plain(function.__func__)
    return type(function) is FunctionType and not hasattr(function, "__signature__")


def _shown(found: Signature) -> str:
    """The parameters without their annotations."""
    bare = [each.replace(annotation=Parameter.empty) for each in found.parameters.values()]
    return _cut(str(Signature(bare)))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
