"""The bench of the process tests."""

from __future__ import annotations

from tests.process.conftest import bench

__all__ = ["bench"]
