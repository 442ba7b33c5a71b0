"""The store as a whole."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis

from gresque.store.store import Store

Redis = redis.Redis
KEY = b"resque:queue:a"


def test_it_connects_at_the_first_call(tmp_path: Any) -> None:
    store = Store(f"unix://{tmp_path}/none", "resque")
    with pytest.raises(redis.ConnectionError):
        store.queues.names()


def test_threads_share_one(store: Store, redis_client: Redis) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(10):
                store.enqueuer.push("a", [str(number).encode()])
                store.queues.sizes()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    raws = redis_client.lrange(KEY, 0, -1)
    assert {raw: raws.count(raw) for raw in set(raws)} == {
        str(number).encode(): 10 for number in range(50)
    }
