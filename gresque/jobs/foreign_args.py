"""The arguments of payloads that programs in Ruby write, as the job's function takes them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Signature, signature
from typing import Any

import msgspec

from gresque.errors import InvalidArguments, JobDeclarationError
from gresque.jobs.activejob import job_in
from gresque.jobs.activejob_args import read_arguments
from gresque.jobs.typed_args import TypedArgs

Call = tuple[Sequence[Any], Mapping[str, Any]]
"""Positional and keyword arguments."""


class ForeignArgs:
    """Of a job with `ruby_keywords`, or of ActiveJob's; other jobs have none.

    Ruby's `Resque.enqueue(J, "a", k: 1)` writes `["a", {"k": 1}]`: nothing says that the object
    holds keywords, so the signature of the function does.
    """

    def __init__(
        self, name: str, function: Callable[..., Any], *, ruby_keywords: bool, is_active_job: bool
    ) -> None:
        """Raises JobDeclarationError for `ruby_keywords` of a function without a signature."""
        self._name = name
        self._is_active_job = is_active_job
        self._signature = _signature_of(name, function) if ruby_keywords else None

    def read(self, args: Sequence[Any], kwargs: Mapping[str, Any], typed: TypedArgs | None) -> Call:
        """The arguments that the job gets, for those of a payload. Raises InvalidArguments."""
        found = self._read_active_job(args, kwargs)
        if found is None:
            args, kwargs = self._with_keywords(args, kwargs)
            return (args, kwargs) if typed is None else typed.read(args, kwargs)
        if typed is None:
            return found
        # Annotated parameters are read from JSON, as they are of any job; others get the values
        # that ActiveJob says.
        args, kwargs = found
        plain, named = [*map(_as_json, args)], {name: _as_json(kwargs[name]) for name in kwargs}
        read, read_named = typed.read(plain, named)
        return (
            [args[n] if each is plain[n] else each for n, each in enumerate(read)],
            {n: kwargs[n] if each is named[n] else each for n, each in read_named.items()},
        )

    def plain(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        """The arguments of a payload as a payload of gresque's has them, to compare calls."""
        try:
            found = self._read_active_job(args, kwargs)
        except InvalidArguments:
            return args, kwargs
        if found is None:
            return self._with_keywords(args, kwargs)
        args, kwargs = found
        return [*map(_as_json, args)], {name: _as_json(kwargs[name]) for name in kwargs}

    def before(self, call: Callable[..., Any], typed: TypedArgs | None) -> Callable[..., Any]:
        """A function that calls `call` with the arguments that the job gets, for those of a
        payload."""

        def run(*args: Any, **kwargs: Any) -> Any:
            read, named = self.read(args, kwargs, typed)
            return call(*read, **named)

        return run

    def _read_active_job(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call | None:
        job = job_in(args) if self._is_active_job and not kwargs else None
        if job is None or job["job_class"] != self._name:
            return None
        return self._with_keywords(*read_arguments(self._name, job["arguments"]))

    def _with_keywords(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        """With the last object as keywords, where the function takes it so; else as they are."""
        bound = self._signature
        if bound is None or kwargs or not args or type(args[-1]) is not dict or not args[-1]:
            return args, kwargs
        rest, named = args[:-1], args[-1]
        if _takes(bound.bind, rest, named):
            return rest, named
        # What is missing should be named, where the object cannot be an argument itself.
        is_named = not _takes(bound.bind, args, {}) and _takes(bound.bind_partial, rest, named)
        return (rest, named) if is_named else (args, kwargs)


def _takes(bind: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    try:
        bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _signature_of(name: str, function: Callable[..., Any]) -> Signature:
    try:
        return signature(function)
    except (TypeError, ValueError):  # some functions made in C have none
        raise JobDeclarationError(
            f"job {name}: ruby_keywords=True, and its parameters are not known; declare a "
            "function that calls it"
        ) from None


def _as_json(value: Any) -> Any:
    try:
        return msgspec.to_builtins(value)
    except (TypeError, ValueError):  # of a serializer of the application's
        return value
