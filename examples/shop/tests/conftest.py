from __future__ import annotations

import pytest
from shop import outbox


@pytest.fixture(autouse=True)
def _nothing_sent() -> None:
    outbox.sent.clear()
