"""Counting a file: the same function for the jobs and for the check."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from typing import NamedTuple

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


class Counts(NamedTuple):
    """Of one file, or of many. `unparseable` counts files that are not valid Python: the standard
    library tests its own parser with some."""

    lines: int = 0
    functions: int = 0
    classes: int = 0
    unparseable: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(*(mine + its for mine, its in zip(self, other, strict=True)))


def count(source: bytes) -> Counts:
    """Count one file, given as bytes: it may declare an encoding of its own."""
    lines = len(source.splitlines())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its odd escapes the library knows itself
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return Counts(lines, unparseable=1)
    functions = classes = 0
    for statement in _statements(tree):
        functions += isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
        classes += isinstance(statement, ast.ClassDef)
    return Counts(lines, functions, classes)


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Every statement at any depth. `ast.walk` goes through the expressions too, where neither
    functions nor classes can be defined, and takes seven times as long."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in _BLOCKS:
            inner = getattr(node, block, None)
            if isinstance(inner, list):  # a lambda's body is none
                waiting += inner
