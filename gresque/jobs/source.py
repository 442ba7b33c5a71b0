"""Where a job was declared, and the name under which importing its module finds it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any, NamedTuple

from gresque.errors import JobDeclarationError

MAIN = "__main__"
MAINS = (MAIN, "__mp_main__")
"""The names of the module of a script; the second one in a child of multiprocessing."""


class Source(NamedTuple):
    """A declaration: `module.qualname`, its place, and the execution of the module it came from.

    `run` is the module's namespace and its spec: a reload keeps the one and replaces the other.
    """

    name: str
    file: str
    line: int
    run: tuple[Any, Any]
    interactive: bool

    def __str__(self) -> str:
        return f"{self.name} ({self.file}:{self.line})" if self.line else self.name


def source_of(function: Any, owner: type | None = None) -> Source:
    """The source of a job with this function; `owner` is its class, if it has one."""
    inner = innermost(function)
    named: Any = function if owner is None else owner
    module, qualname = _text(named, "__module__"), _text(named, "__qualname__") or repr(named)
    if inner is not None and (owner is None or inner.__module__ == module):
        namespace: Mapping[str, Any] = inner.__globals__
        file, line = inner.__code__.co_filename, inner.__code__.co_firstlineno
    else:
        namespace = vars(sys.modules[module]) if module in sys.modules else {}
        file, line = str(namespace.get("__file__") or ""), 0
    return Source(
        f"{module}.{qualname}" if module else qualname,
        file,
        line,
        (namespace, namespace.get("__spec__")),
        module in MAINS and (_file_of(namespace) is None or file.startswith("<")),
    )


def clash(known: Source, known_function: Any, new: Source, new_function: Any) -> bool:
    """Whether a second job under a name is another one: not the same declaration, made again by a
    reload of its module, in a notebook's cell, or by a function that declares it at each call."""
    if known.interactive and new.interactive:
        return False
    if (known.name, known.file) != (new.name, new.file):
        return True
    if known.run[0] is not new.run[0] or known.run[1] is not new.run[1]:
        return False
    return not _same(known_function, new_function)


def _same(one: Any, other: Any) -> bool:
    """Whether two functions do the same: one code, with the same values bound to it."""
    if one is other:
        return True
    if type(one) is type(other) and type(one) in (str, bytes, int, float):
        return bool(one == other)
    if isinstance(one, functools.partial) and isinstance(other, functools.partial):
        same = _identical(_partial(one), _partial(other))
        return same and _same(one.func, other.func)
    if isinstance(one, MethodType) and isinstance(other, MethodType):
        return one.__self__ is other.__self__ and _same(one.__func__, other.__func__)
    if not isinstance(one, FunctionType) or not isinstance(other, FunctionType):
        return False
    return one.__code__ is other.__code__ and _identical(_bound_to(one), _bound_to(other))


def _partial(function: functools.partial[Any]) -> tuple[Any, ...]:
    return (*function.args, *function.keywords, *function.keywords.values())


def _bound_to(function: FunctionType) -> tuple[Any, ...]:
    cells = []
    for cell in function.__closure__ or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError:  # the function itself, not assigned yet
            cells.append(None)
    keywords = function.__kwdefaults__ or {}
    return (*cells, *(function.__defaults__ or ()), *keywords.values())


def _identical(some: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    return len(some) == len(others) and all(
        _same(mine, theirs) for mine, theirs in zip(some, others, strict=True)
    )


def innermost(function: Any) -> FunctionType | None:
    """The function behind decorators that name it (functools.wraps), partials, methods and objects
    that can be called."""
    for _ in range(100):
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, MethodType | staticmethod | classmethod):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif isinstance(function, FunctionType):
            return function
        else:
            function = getattr(type(function), "__call__", None)  # noqa: B004
    return None


def name_of(function: Callable[..., Any]) -> str:
    """The name of a job that was given none. Raises JobDeclarationError when the function has no
    name that is its own."""
    module, qualname = _text(function, "__module__"), _text(function, "__qualname__")
    if not module or not qualname:
        raise JobDeclarationError(f"{function!r} has no name; give its job one: name='...'")
    inner = innermost(function)
    if inner is None:
        return default_name(module, qualname)
    if module in MAINS and inner.__code__.co_filename.startswith("<"):
        module, namespace = MAIN, {"__name__": MAIN}  # typed at the prompt of `python -i`
    else:
        namespace = inner.__globals__
    place = f"{inner.__code__.co_filename}:{inner.__code__.co_firstlineno}"
    return default_name(module, qualname, namespace, place)


def default_name(
    module: str, qualname: str, namespace: Mapping[str, Any] | None = None, place: str = ""
) -> str:
    """`module.qualname`. In a script, whose module is `__main__`, the name that importing it gives,
    so that what the script enqueues is what a worker knows; `__main__` where nothing can import it.

    Raises JobDeclarationError for what is declared in a function, where several share a name.
    """
    if "<locals>" in qualname or "<lambda>" in qualname:
        what = "a lambda" if qualname.endswith("<lambda>") else "declared inside a function"
        at = f" ({place})" if place else ""
        raise JobDeclarationError(
            f"job {module}.{qualname}{at} is {what}, and others would have its name, too; give it "
            "one of its own: name='...' (or use functools.wraps in the decorator that hides it)"
        )
    if module in MAINS:
        if namespace is None or namespace.get("__name__") not in MAINS:
            namespace = vars(sys.modules[MAIN])
        module = _main_module(namespace)
    return f"{module}.{qualname}"


def _main_module(namespace: Mapping[str, Any]) -> str:
    spec, path = namespace.get("__spec__"), _file_of(namespace)
    if spec is not None and spec.name != MAIN:
        return str(spec.name)
    return MAIN if path is None else _module_at(Path(path))


def _file_of(namespace: Mapping[str, Any]) -> str | None:
    """The file of a module; what is read from stdin has `<stdin>` there."""
    path = namespace.get("__file__")
    return None if not path or str(path).startswith("<") else str(path)


def _module_at(path: Path) -> str:
    """The name of a script's module: with its packages, up to the working directory, from which a
    worker imports."""
    try:
        path, here = path.resolve(), Path.cwd()
    except OSError:  # the working directory is gone
        return path.stem
    names, directory = [path.stem], path.parent
    while directory not in (here, directory.parent) and (directory / "__init__.py").is_file():
        names.insert(0, directory.name)
        directory = directory.parent
    return ".".join(names)


def _text(thing: Any, attribute: str) -> str:
    found = getattr(thing, attribute, None)
    return found if isinstance(found, str) else ""
