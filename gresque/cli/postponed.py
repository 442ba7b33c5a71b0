"""Packages that are imported when they are used, in the process of a command that looks.

redis-py imports much that no command calls: its asyncio half and Python's asyncio, its clusters,
what reads the metadata of packages. That is a quarter of the CPU of a command that lists something.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from threading import RLock
from types import ModuleType
from typing import Any


def postpone(package: str, but_for: str = "", names: Mapping[str, str] | None = None) -> None:
    """Let the import of a package bind its name, and import it when one of its names is asked for
    or one of its modules is imported: nobody sees a difference.

    `but_for` is a module or package in it that is imported without it. Where it is the package
    itself, all of its modules are, and each of `names` is taken from the module that it stands for.
    For a package that is imported already nothing is done.
    """
    if package not in sys.modules:
        sys.meta_path.insert(0, _Finder(package, but_for, names or {}))


# Without the base classes of importlib.abc, which is as large as what is saved.
class _Finder:
    def __init__(self, package: str, but_for: str, names: Mapping[str, str]) -> None:
        self._package = package
        self._but_for = but_for
        self._names = names
        self._loader: _PostponedLoader | None = None

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == self._package and self._loader is None:
            sys.meta_path.remove(self)
            spec = find_spec(name)
            if spec is not None and spec.loader is not None:
                sys.meta_path.insert(0, self)
                alone = self._but_for == self._package
                self._loader = _PostponedLoader(spec.loader, alone, self._names)
                spec.loader = self._loader  # type: ignore[assignment]
            return spec
        if name.startswith(f"{self._package}.") and self._loader is not None:
            exempt = self._but_for and f"{name}.".startswith(f"{self._but_for}.")
            if not exempt:
                # Another thread that loads the package may wait for the lock of this very import.
                self._loader.load(sys.modules[self._package], wait=False)
                return _loaded_along(name)
        return None


def _loaded_along(name: str) -> ModuleSpec | None:
    """The spec of a module whose package has just imported it. The import that asks does not look
    for it again: it would run the module a second time, and make each of its classes twice."""
    module = sys.modules.get(name)
    spec = None if module is None else module.__spec__
    if module is not None and spec is not None:
        spec.loader = _LoadedAlong(module, spec)  # type: ignore[assignment]
    return spec


class _LoadedAlong:
    def __init__(self, module: ModuleType, spec: ModuleSpec) -> None:
        self._module = module
        self._loader = spec.loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """It has run."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader


class _PostponedLoader:
    def __init__(self, loader: Any, alone: bool, names: Mapping[str, str]) -> None:
        self._loader = loader
        self._alone = alone
        self._names = names
        self._lock = RLock()
        self._loading = self._done = False

    def create_module(self, spec: ModuleSpec) -> None:
        """The import system makes it, with the names by which it goes, such as `__path__`."""

    def exec_module(self, module: ModuleType) -> None:
        """Not yet."""
        module.__class__ = _Postponed
        module.__dict__["__postponed__"] = self

    def find(self, package: ModuleType, name: str) -> Any:
        """A name of the package, by as little of it as has it."""
        if self._alone and name in self._names:
            return getattr(importlib.import_module(self._names[name]), name)
        if self._alone and find_spec(f"{package.__name__}.{name}"):
            return importlib.import_module(f"{package.__name__}.{name}")
        self.load(package)
        return package.__dict__[name]

    def load(self, module: ModuleType, *, wait: bool = True) -> None:
        if self._done or not self._lock.acquire(blocking=wait):
            return
        try:
            if not self._done and not self._loading:  # its own code asks for names, too
                self._load(module)
        finally:
            self._lock.release()

    def _load(self, module: ModuleType) -> None:
        self._loading = True
        try:
            self._loader.exec_module(module)
        finally:
            self._loading = False
        self._done = True
        module.__class__ = ModuleType
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader


class _Postponed(ModuleType):
    def __getattr__(self, name: str) -> Any:
        """Called for names that it does not have."""
        try:
            return self.__dict__["__postponed__"].find(self, name)
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None
