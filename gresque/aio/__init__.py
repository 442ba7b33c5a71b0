"""gresque for asyncio programs: `await job.aenqueue(...)`, and a client. See docs/asyncio.md."""

from __future__ import annotations

from gresque.aio.client import Client, ConfiguredJob
from gresque.aio.default import default_client

__all__ = ["Client", "ConfiguredJob", "default_client"]
