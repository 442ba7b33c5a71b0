"""How a long command reports its progress, and is stopped."""

from __future__ import annotations


class Progress:
    """Receives the progress of a long command and may stop it. This one lets it run."""

    def advanced(self, done: int, total: int) -> bool:
        """`done` of `total` entries are worked through; False stops the command there."""
        return True

    def waiting(self) -> bool:
        """Another command holds the lock; called again and again. False gives up."""
        return True


SILENT = Progress()
