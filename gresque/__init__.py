"""gresque: Resque for Python on gevent. See README.md for a tour.

Everything a program needs is here: declare jobs with `job` or `Job`, enqueue them, look at queues.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gresque.version import __version__ as __version__

if TYPE_CHECKING:
    from gresque.api import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        """All names are loaded when the first of them is asked for. A command that looks at Redis
        needs none, and to load them is a quarter of its CPU."""
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        api = importlib.import_module("gresque.api")
        names = {each: getattr(api, each) for each in api.__all__}
        globals().update(names, __all__=api.__all__)
        try:
            return globals()[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None

    def __dir__() -> list[str]:
        return sorted({*__getattr__("__all__"), *globals()})
