"""Who is told how far something long has come."""

from __future__ import annotations


class Progress:
    """Is told how far something long has come, and may stop it; this one lets it run."""

    def went(self, done: int, total: int) -> bool:
        """So many of `total` entries have been gone through; False stops it there."""
        return True

    def waits(self) -> bool:
        """Somebody else goes round at the moment, asked again and again; False gives up."""
        return True


SILENT = Progress()
