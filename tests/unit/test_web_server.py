"""Serving the dashboard with gevent."""

from __future__ import annotations

import gc
import socket
import warnings
from contextlib import closing

import pytest

from gresque.errors import BootError
from gresque.store.store import Store
from gresque.web.server import Server, look_for_redis
from tests.support.web import open_app


def test_a_port_that_is_taken() -> None:
    with open_app("redis://127.0.0.1:1") as app, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BootError) as caught:
            Server(app, "127.0.0.1", port).start()
        assert str(caught.value) == (
            f"cannot listen on 127.0.0.1:{port}: Address already in use; see --bind"
        )
        with warnings.catch_warnings(action="ignore"):  # gevent leaves its socket open
            del caught
            gc.collect()


def test_the_log_says_that_redis_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    with closing(Store("redis://127.0.0.1:1", "resque")) as store:
        look_for_redis(store)
    (record,) = [each for each in caplog.records if each.name == "gresque.web"]
    assert "no answer from Redis at 127.0.0.1:1" in record.getMessage()
