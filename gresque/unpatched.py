"""Functions of the standard library as they were before gevent patched them.

For the master of `gresque work` and the modules that it calls: a patched function that waits starts
a hub, and a hub that is alive in the master goes on running in every process that it forks.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache
from typing import Any


@cache
def original(module: str, name: str) -> Any:
    """`original("select", "select")`: patched or not, the one that blocks the whole process."""
    if "gevent.monkey" in sys.modules:
        from gevent.monkey import get_original

        return get_original(module, name)
    return getattr(importlib.import_module(module), name)
