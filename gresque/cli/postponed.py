"""Packages that are imported when they are used, in the process of a command that looks.

redis-py imports its asyncio half whenever its other half is imported: a tenth of the CPU of a
command that lists something, for code that none of them calls.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from threading import RLock
from types import ModuleType
from typing import Any


def postpone(package: str, but_for: str = "") -> None:
    """Let the import of a package bind its name, and import it when one of its names is asked for
    or one of its modules is imported: nobody sees a difference.

    `but_for` is a module or package in it that is imported without it. For a package that is
    imported already nothing is done.
    """
    if package not in sys.modules:
        sys.meta_path.insert(0, _Finder(package, but_for))


class _Finder(MetaPathFinder):
    def __init__(self, package: str, but_for: str) -> None:
        self._package = package
        self._but_for = but_for
        self._loader: _PostponedLoader | None = None

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == self._package and self._loader is None:
            sys.meta_path.remove(self)
            spec = find_spec(name)
            if spec is not None and spec.loader is not None:
                sys.meta_path.insert(0, self)
                spec.loader = self._loader = _PostponedLoader(spec.loader)
            return spec
        if name.startswith(f"{self._package}.") and self._loader is not None:
            exempt = self._but_for and f"{name}.".startswith(f"{self._but_for}.")
            if not exempt:
                # Another thread that loads the package may wait for the lock of this very import.
                self._loader.load(sys.modules[self._package], wait=False)
        return None


class _PostponedLoader(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._lock = RLock()
        self._loading = self._done = False

    def create_module(self, spec: ModuleSpec) -> None:
        """The import system makes it, with the names by which it goes, such as `__path__`."""

    def exec_module(self, module: ModuleType) -> None:
        """Not yet."""
        module.__class__ = _Postponed
        module.__dict__["__postponed__"] = self

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
        self.__dict__["__postponed__"].load(self)
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None
