"""Keys: what the keyboard does."""

from __future__ import annotations

from flask import Response

from gresque.web.pages.show import show

KEYS = (
    ("/", "filter"),
    ("j k", "next and previous row"),
    ("Enter", "open the row, or close it"),
    ("x", "select the row"),
    ("n", "next page"),
    ("K R D", "kill, retry, remove: the row, or the job of the page"),
    ("! 1", "the first button of the first thing that is wrong; ! 2 that of the second"),
    ("p", "pause the page, or let it go on"),
    ("t", "light or dark"),
    ("Esc", "close"),
)


def page() -> Response:
    return show("keys", number=0, every=0, keys=KEYS)
