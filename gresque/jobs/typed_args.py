"""Arguments of the types that a job's function is annotated with, on a wire that stays plain JSON.

An argument is written as JSON when the job is enqueued, and read as its type when it is performed.
That holds for parameters whose annotation has a type that JSON lacks; the others stay as they are.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, get_type_hints

import msgspec

from gresque.errors import (
    GresqueError,
    InvalidArguments,
    JobDeclarationError,
    UnserializableArgument,
    WrongArguments,
)
from gresque.jobs.annotations import Converter, converter_of
from gresque.text import printable

Keywords = Mapping[str, Any]

MOST_NOTED = 100
"""A function that takes `*args` may be called with any number."""


class Wire(NamedTuple):
    """The arguments of a call as JSON carries them, and as the job gets them."""

    args: Sequence[Any]
    kwargs: dict[str, Any]
    typed_args: Sequence[Any]
    typed_kwargs: dict[str, Any]


_WORD = re.compile(r"[^\W\d]\w*")
_PLAIN_WORDS = {
    "int", "float", "str", "bool", "None", "Any", "object", "list", "dict", "List", "Dict",
    "Optional", "Union", "Sequence", "Iterable", "Mapping", "Collection", "typing", "collections",
    "abc",
}  # fmt: skip
_OTHER_KEYS = re.compile(r"(?:[Dd]ict|Mapping)\[\s*(?!str\b|Any\b)")
_PLAIN = (int, float, str, bool, None, type(None), Any, object, list, dict, inspect.Parameter.empty)


def _looks_plain(annotation: Any) -> bool:
    """By the words in it, without resolving any name; in doubt it is not."""
    if isinstance(annotation, str):
        words = set(_WORD.findall(annotation))
        return words <= _PLAIN_WORDS and not _OTHER_KEYS.search(annotation)
    return any(annotation is each for each in _PLAIN)


class TypedArgs:
    """The conversions of one job. They are made at its first use: until then annotations may name
    what is not defined yet."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        parameters: Sequence[inspect.Parameter],
        on_nothing: Callable[[], None],
        *,
        strict: bool,
    ) -> None:
        """`on_nothing` is called at the first use when no parameter needs anything."""
        self._name = name
        self._function = function
        self._parameters = parameters
        self._on_nothing = on_nothing
        self._strict = strict
        self._made = False
        self._positional: list[tuple[str, Converter | None]] = []
        self._named: dict[str, Converter | None] = {}
        self._more: tuple[str, Converter | None] = "", None
        self._more_named: Converter | None = None
        self._places: dict[int, list[tuple[int, str, Converter]]] = {}

    def write(self, args: Sequence[Any], kwargs: Keywords) -> Wire:
        """Raises WrongArguments for a value that does not fit its annotation, and
        UnserializableArgument for one that cannot be written."""
        if not self._made:
            self.prepare()
        wire, typed = list(args), list(args)
        for position, name, converter in self._to_convert(len(wire)):
            wire[position], typed[position] = self._written(name, converter, wire[position])
        if not kwargs:
            return Wire(wire, {}, typed, {})
        named, typed_named = dict(kwargs), dict(kwargs)
        for name, value in kwargs.items():
            _, found = self._at(name)
            if found is not None:
                named[name], typed_named[name] = self._written(name, found, value)
        return Wire(wire, named, typed, typed_named)

    def write_one(self, place: int | str, value: Any) -> Any:
        """The JSON of one argument, by its position or its name; raises as `write`."""
        self.prepare()
        name, converter = self._at(place)
        return value if converter is None else self._written(name, converter, value)[0]

    def read(self, args: Sequence[Any], kwargs: Keywords) -> tuple[list[Any], dict[str, Any]]:
        """The arguments that the job gets. Raises InvalidArguments."""
        if not self._made:
            self.prepare()
        typed = list(args)
        for position, name, converter in self._to_convert(len(typed)):
            typed[position] = self._read(name, converter, typed[position])
        if not kwargs:
            return typed, {}
        named = dict(kwargs)
        for name, value in kwargs.items():
            _, found = self._at(name)
            if found is not None:
                named[name] = self._read(name, found, value)
        return typed, named

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A function that calls `call` with the arguments that the job gets, for those of a
        payload."""

        def run(*args: Any, **kwargs: Any) -> Any:
            typed, named = self.read(args, kwargs)
            return call(*typed, **named)

        return run

    def _to_convert(self, count: int) -> list[tuple[int, str, Converter]]:
        """Of this number of positional arguments those with a converter. Noted for each number, of
        which a program uses few."""
        found = self._places.get(count)
        if found is None:
            found = []
            for position in range(count):
                name, converter = self._at(position)
                if converter is not None:
                    found.append((position, name, converter))
            if count < MOST_NOTED:
                self._places[count] = found
        return found

    def _at(self, place: int | str) -> tuple[str, Converter | None]:
        if isinstance(place, str):
            return place, self._named.get(place, self._more_named)
        return self._positional[place] if place < len(self._positional) else self._more

    def _written(self, name: str, converter: Converter, value: Any) -> tuple[Any, Any]:
        try:
            return converter.write(value)
        except msgspec.ValidationError as error:
            raise WrongArguments(self._wrong(name, error)) from None
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise UnserializableArgument(
                f"{printable(self._name)}: argument {name!r} cannot be written as JSON: "
                f"{printable(error)}"
            ) from None

    def _read(self, name: str, converter: Converter, value: Any) -> Any:
        try:
            return converter.read(value)
        except (msgspec.ValidationError, RecursionError) as error:
            raise InvalidArguments(self._wrong(name, error)) from None

    def _wrong(self, name: str, error: Exception) -> str:
        return (
            f"job {printable(self._name)}: argument {name!r} does not fit its annotation: "
            f"{printable(error)}"
        )

    def prepare(self) -> None:
        """Make the conversions, unless they are made. Raises JobDeclarationError for an annotation
        that cannot be used."""
        if self._made:
            return
        for parameter in self._parameters:
            name, kind = parameter.name, parameter.kind
            converter = self._converter_of(name, parameter.annotation)
            if kind is parameter.VAR_POSITIONAL:
                self._more = name, converter
            elif kind is parameter.VAR_KEYWORD:
                self._more_named = converter
            if kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                self._positional.append((name, converter))
            if kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                self._named[name] = converter
        self._made = True
        found = [each for _, each in (*self._positional, self._more)]
        if not any((*found, *self._named.values(), self._more_named)):
            self._on_nothing()

    def _converter_of(self, name: str, annotation: Any) -> Converter | None:
        if not self._strict and _looks_plain(annotation):
            return None
        hint = self._hint_of(name, annotation)
        try:
            return converter_of(hint, strict=self._strict)
        except TypeError as error:
            raise JobDeclarationError(
                f"job {self._name}: strict_types, and the annotation of {name!r} cannot be "
                f"checked: {printable(error)}"
            ) from None

    def _hint_of(self, name: str, annotation: Any) -> Any:
        space = getattr(inspect.unwrap(_plain_function(self._function)), "__globals__", {})
        holder = SimpleNamespace(__annotations__={name: annotation})
        try:
            return get_type_hints(holder, space, include_extras=True)[name]
        except Exception as error:  # it may be any expression
            raise JobDeclarationError(
                f"job {self._name}: the annotation of {name!r}, {annotation!r}, cannot be used: "
                f"{printable(error)}; import what it names outside of `if TYPE_CHECKING:`"
            ) from None


def _plain_function(function: Any) -> Any:
    while not hasattr(function, "__globals__"):
        inner = getattr(function, "func", None) or getattr(function, "__func__", None)
        if inner is None:
            return function
        function = inner
    return function


def typed_args(
    name: str, function: Callable[..., Any], on_nothing: Callable[[], None], *, strict: bool
) -> TypedArgs | None:
    """The conversions of a job; None for one that needs none, as far as its annotations say so
    without being resolved. With `strict` raises JobDeclarationError for a parameter that has no
    annotation."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some functions made in C have none
        if strict:
            raise _strict_error(name, "its parameters are not known") from None
        return None
    bare = [each.name for each in parameters if each.annotation is each.empty]
    if strict and bare:
        raise _strict_error(name, f"{', '.join(bare)} without an annotation")
    if not strict and all(_looks_plain(each.annotation) for each in parameters):
        return None
    return TypedArgs(name, function, parameters, on_nothing, strict=strict)


def _strict_error(name: str, wrong: str) -> GresqueError:
    return JobDeclarationError(
        f"job {name}: strict_types=True, and {wrong}; annotate every parameter, or leave out "
        "strict_types"
    )
