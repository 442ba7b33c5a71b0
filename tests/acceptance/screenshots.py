"""The pictures of the docs, from made-up data: `scripts/screenshots`.

scripts/screenshots             # into docs/pictures
scripts/screenshots /tmp/new    # elsewhere, to compare
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import redis

from tests.support.browser import CHROMIUM, chromium, dashboard
from tests.support.seeded import seed
from tests.support.server import OwnServer

DEFAULT = Path(__file__).parents[2] / "docs" / "pictures"


class Picture(NamedTuple):
    name: str
    path: str
    theme: str
    width: int
    height: int


PICTURES = (
    Picture("overview", "/", "light", 1120, 600),
    Picture("running", "/running", "dark", 1280, 720),
    Picture("failed", "/failed", "light", 1120, 480),
    Picture("phone", "/running", "light", 390, 760),
)


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    if CHROMIUM is None:
        sys.exit("gresque: no browser: install Debian's package chromium")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        server = OwnServer(Path(name)).start()
        try:
            with redis.Redis(unix_socket_path=str(server.socket)) as client:
                seed(client, processes=24, running=1900, queues=9, failed=4100)
            take(server.url, Path(name), target)
        finally:
            server.kill()


def take(url: str, directory: Path, target: Path) -> None:
    with dashboard(url, directory) as link, chromium() as browser:
        page = browser.new_page()
        page.goto(link)
        state = page.context.storage_state()
        for picture in PICTURES:
            context = browser.new_context(
                viewport={"width": picture.width, "height": picture.height},
                color_scheme=picture.theme, reduced_motion="reduce", storage_state=state,
            )  # fmt: skip
            page = context.new_page()
            page.goto(link.partition("/in?")[0] + picture.path)
            page.locator('[data-part="live"]').wait_for()
            page.wait_for_timeout(1500)  # the second snapshot has the rates
            page.screenshot(path=str(target / f"{picture.name}.png"))
            context.close()
            print(f"{picture.name}.png", (target / f"{picture.name}.png").stat().st_size)


if __name__ == "__main__":
    main()
