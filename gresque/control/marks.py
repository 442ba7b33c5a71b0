"""Marks: what happened when, for the charts of pages."""

from __future__ import annotations

from gresque.control.audit import acting
from gresque.errors import GresqueError
from gresque.store.store import Store

MOST_CHARACTERS = 200


def mark(store: Store, text: str, *, by: str) -> None:
    """Mark this moment, as that of a deploy. Raises GresqueError for a text that is empty or too
    long."""
    text = " ".join(text.split())
    if not text:
        raise GresqueError("a mark needs a text; give one such as 'deploy 8f31c2'")
    if len(text) > MOST_CHARACTERS:
        raise GresqueError(
            f"the text of a mark has {len(text):,} characters; give at most {MOST_CHARACTERS}"
        )
    with acting(store, by, "mark", text) as act:
        store.metrics.mark("mark", text, by)
        act.count = 1
