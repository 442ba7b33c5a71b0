"""Importing the modules that declare jobs (`-r`)."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from gresque.errors import BootError
from gresque.forked import call_user_code
from gresque.raised import one_line


def import_jobs(module: str) -> None:
    """Import a module as `python -m` would find it: from the working directory first.

    Raises BootError for any exception of the module.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        call_user_code(importlib.import_module, module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if _comes_from_a_signal(error):
            raise
        text = f"cannot import {module} (-r): {one_line(error)}{_remedy(module)}"
        raise BootError(text) from error


def _comes_from_a_signal(error: BaseException) -> bool:
    """Whether gresque itself ends the import: a module raises what it likes."""
    kind = type(error)
    return not issubclass(kind, Exception) and kind.__module__.startswith("gresque.")


def _remedy(module: str) -> str:
    if module.endswith(".py"):
        return f"; write the name of the module instead, {module.removesuffix('.py')!r}"
    if not module.isascii() and sys.getfilesystemencoding() != "utf-8":
        return "; under this locale file names are ASCII: set PYTHONUTF8=1 or LC_ALL=C.UTF-8"
    return ""
