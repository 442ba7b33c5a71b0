"""Schedulers of other programs, which move the delayed jobs of Ruby, Node and PHP programs."""

from __future__ import annotations

from gresque.store.store import Store


def other_schedulers(store: Store) -> dict[str, str]:
    """The locks that they hold -> their holders. While one does, gresque leaves these jobs to
    it."""
    return dict(store.delayed.lock_holders())
