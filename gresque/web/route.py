"""A row of the table of routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Route(NamedTuple):
    """`role` is the least that a user needs: None (open to all), read, act or admin. `name` is for
    `url_for`."""

    method: str
    path: str
    name: str
    view: Callable[..., Any]
    role: str | None
