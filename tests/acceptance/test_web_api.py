"""The API under schemathesis, which makes requests of its description, right and wrong ones."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.support.seeded import seed
from tests.support.server import OwnServer
from tests.support.web import bearer, open_app, with_users

RULES = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = {False: 60, True: 45}
"""Per route; without Redis no calls follow from the answers of others."""
CASES = 2_000
"""At least."""

pytestmark = pytest.mark.skipif(
    find_spec("schemathesis") is None, reason="needs schemathesis: pip install schemathesis"
)


class _Silent(WSGIRequestHandler):
    def log(self, *args: object) -> None:
        pass


@contextmanager
def served(redis_url: str) -> Iterator[str]:
    """The address of a dashboard that is called from outside."""
    with open_app(redis_url, **with_users()) as app:
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Silent)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("is_away", [False, True], ids=["Redis answers", "Redis is away"])
def test_the_api_keeps_to_its_description(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_away: bool
) -> None:
    server = OwnServer(tmp_path).start()
    try:
        with redis.Redis(unix_socket_path=str(server.socket)) as client:
            seed(client, processes=24, running=900, queues=30, failed=3000)
        if is_away:
            server.kill()
        with served(server.url) as address, caplog.at_level(logging.CRITICAL):
            ran = subprocess.run(
                [sys.executable, "-m", "schemathesis.cli", "--config-file", str(RULES), "run",
                 f"{address}/api/openapi.json", "--checks", "all", "--mode", "all", "--no-color",
                 "--max-examples", str(EXAMPLES[is_away]), "--header",
                 f"Authorization: {bearer('admin')['Authorization']}"],
                cwd=tmp_path, capture_output=True, text=True, check=False,
            )  # fmt: skip
    finally:
        server.kill()
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-6000:]
    (cases,) = re.findall(r"(\d+) generated, \1 passed", ran.stdout)
    assert int(cases) >= CASES
    print(f"{cases} cases")
