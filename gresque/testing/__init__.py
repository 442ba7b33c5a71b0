"""For tests of programs that enqueue jobs: see docs/testing.md.

import gresque.testing

with gresque.testing.fake() as jobs:
    signup("ada@example.com")
    jobs.assert_enqueued(send_email, "ada@example.com")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gresque.testing.api import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        """All names are loaded with the first of them: pytest imports this package in every run of
        a project, for its plugin."""
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        api = importlib.import_module("gresque.testing.api")
        globals().update({each: getattr(api, each) for each in api.__all__}, __all__=api.__all__)
        try:
            return globals()[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None

    def __dir__() -> list[str]:
        return sorted({*__getattr__("__all__"), *globals()})
