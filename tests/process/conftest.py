from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.process.support import Bench


@pytest.fixture
def bench(redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(redis_url, redis_client, tmp_path)
    yield bench
    bench.close()
