"""Addresses of pages within pages. A page that is not there yet has its neighbour's."""

from __future__ import annotations

from typing import Any

from flask import current_app, request, url_for

NOT_OF_THE_PAGE = ("live",)


def address_of(name: str, otherwise: str = "overview", **values: Any) -> str:
    """The address of a route, or of `otherwise` where there is none of this name."""
    if name in current_app.view_functions:
        return url_for(name, **values)
    return url_for(otherwise)


def here_with(**changed: Any) -> str:
    """The address of this page, with other parameters; None takes one away."""
    given = {**request.args, **changed}
    kept = {
        name: text
        for name, text in given.items()
        if name not in NOT_OF_THE_PAGE and text not in (None, "")
    }
    return url_for(request.endpoint or "overview", **(request.view_args or {}), **kept)
