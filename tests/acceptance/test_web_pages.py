"""Every page of the dashboard in a browser: axe-core, widths, hostile values, no scripts."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
import redis

from tests.support.browser import chromium, dashboard, needs_browser
from tests.support.hostile import MARK, PAYLOADS, plant
from tests.support.seeded import seed
from tests.support.server import OwnServer

AXE = "axe-core@4.14.1"
RULES = "['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']"
FAULTS = (
    f"axe.run(document, {{runOnly: {RULES}}}).then(found => "
    "found.violations.map(each => each.id + ': ' + each.nodes[0].html.slice(0, 200)))"
)
TOO_WIDE = "document.documentElement.scrollWidth > innerWidth ? ['too wide'] : []"
WIDTHS = (1440, 390, 320)
_NO_PAGE = re.compile(r"/download|/api/")
KINDS = 40
"""Of pages, at least: each tab, and what leads on from there."""
ACTIONS = 20
"""Of kinds of buttons that change something, at least."""
GONE = 409
"""Another button has taken away what this one would change."""

pytestmark = needs_browser


class Site(NamedTuple):
    link: str
    client: redis.Redis

    def address(self, path: str) -> str:
        return self.link.partition("/in?")[0] + path


@contextmanager
def busy_site(directory: Path, *texts: str) -> Iterator[Site]:
    """A busy system, with these texts in every place of it."""
    server = OwnServer(directory).start()
    try:
        with redis.Redis(unix_socket_path=str(server.socket)) as client:
            seed(client, processes=24, running=900, queues=30, failed=3000)
            for text in texts:
                plant(client, text)
            with dashboard(server.url, directory) as link:
                yield Site(link, client)
    finally:
        server.kill()


@contextmanager
def signed_in(site: Site) -> Iterator[Any]:
    """Makes contexts of a browser that the dashboard knows."""
    with chromium() as browser:
        context = browser.new_context(java_script_enabled=False)
        context.new_page().goto(site.link)
        yield partial(browser.new_context, storage_state=context.storage_state())


def kind_of(address: str) -> tuple[str, ...]:
    """Pages of one kind differ in names and values alone. A page that acts stands for itself."""
    parts = urlsplit(address)
    first, *rest = parts.path.strip("/").split("/")
    rest = ["<name>", *rest[1:]] if rest and first in ("jobs", "queues", "workers") else rest
    return (first, *rest, *sorted(parse_qs(parts.query, keep_blank_values=True)))


def walk(site: Site, page: Any) -> list[str]:
    """Follow all links, to one page of each kind. Each has a heading and no error."""
    waiting, seen = [site.address("/")], {kind_of("/")}
    found = []
    while waiting:
        address = waiting.pop(0)
        answer = page.goto(address)
        assert answer.status == 200, (address, answer.status)
        assert page.locator("h1").count() == 1, address
        found.append(address)
        for link in page.eval_on_selector_all("a[href]", "all => all.map(each => each.href)"):
            link = link.partition("#")[0]
            is_here = link.startswith(site.address("/")) and not _NO_PAGE.search(link)
            if is_here and kind_of(link) not in seen:
                seen.add(kind_of(link))
                waiting.append(link)
    return found


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    if shutil.which("npm") is None:
        pytest.skip("no npm, which fetches axe-core")
    place = tmp_path_factory.mktemp("axe")
    subprocess.run(["npm", "pack", "--silent", AXE], cwd=place, check=True)
    (archive,) = place.glob("*.tgz")
    shutil.unpack_archive(archive, place)
    return (place / "package" / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Of those that only look."""
    with busy_site(tmp_path_factory.mktemp("busy"), "plain") as site:
        yield site


@pytest.fixture(scope="module")
def new_context(busy: Site) -> Iterator[Any]:
    with signed_in(busy) as new_context:
        yield new_context


@pytest.fixture(scope="module")
def addresses(busy: Site, new_context: Any) -> list[str]:
    with new_context(java_script_enabled=False) as context:
        found = walk(busy, context.new_page())
    assert len(found) >= KINDS
    return found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(
    axe: str, new_context: Any, addresses: list[str], width: int, theme: str
) -> None:
    faults: list[str] = []
    with new_context(
        viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce"
    ) as context:
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        for address in addresses:
            page.goto(address)
            # By the debugger, which the policy of the page does not bind.
            page.evaluate(axe)
            found = (*page.evaluate(FAULTS), *page.evaluate(TOO_WIDE), *said)
            faults += [f"{urlsplit(address).path}: {each}" for each in found]
            said.clear()
    assert not faults, "\n".join(faults)


def test_hostile_values_do_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    with busy_site(tmp_path, *PAYLOADS) as site, signed_in(site) as new_context:
        with new_context(java_script_enabled=False) as context:
            addresses = walk(site, context.new_page())
        page = new_context().new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append("a dialog"))
        for address in addresses:
            page.goto(address)
            assert page.locator(f"{MARK}, [{MARK}], img").count() == 0, address
    assert said == []


class Button(NamedTuple):
    """Of a form that changes something."""

    kind: tuple[str, ...]
    text: str
    page: str

    @property
    def sort(self) -> object:
        """What it does: its text may name a queue or a number."""
        return self.kind, self.text.split()[0], "selected" in self.text

    @property
    def is_last(self) -> bool:
        """What it takes away, other buttons may need."""
        words = ("kill", "remove", "clear", "cancel", "move", "logout", "drain", "recycle")
        return any(word in f"{self.kind} {self.text}".lower() for word in words)


SUBMITS = """index => [...document.forms].flatMap(form => [...form.elements])
    .filter(each => each.type === 'submit')"""
BUTTONS = """forms => forms.flatMap(form =>
    [...form.elements].filter(each => each.type === 'submit').map(each => [
        each.getAttribute('formmethod') || form.method,
        each.hasAttribute('formaction') ? each.formAction : form.action,
        each.textContent.trim()]))"""


def buttons(page: Any, addresses: list[str]) -> list[Button]:
    """One of each kind, those that take something away last."""
    found: dict[object, Button] = {}
    for address in addresses:
        page.goto(address)
        for method, action, text in page.eval_on_selector_all("form", BUTTONS):
            if method == "post":
                button = Button(kind_of(action), text, address)
                found.setdefault(button.sort, button)
    return sorted(found.values(), key=lambda button: button.is_last)


def find(page: Any, button: Button) -> Any:
    """The last such button of the page: the newest failed item is no job."""
    shown = page.eval_on_selector_all("form", BUTTONS)
    for index, (method, action, text) in reversed([*enumerate(shown)]):
        there = Button(kind_of(action), text, button.page)
        if method == "post" and text and there.sort == button.sort:
            return page.evaluate_handle(SUBMITS + "[index]", index).as_element()
    raise AssertionError(f"{button} is not there any more")


def press(page: Any, button: Button) -> str:
    """Fill the form in and send it; what the page says then."""
    answer = page.goto(button.page)
    if answer.status != 200:
        return str(page.inner_text("main"))
    pressed = find(page, button)
    form = pressed.evaluate_handle("button => button.form")
    count = form.query_selector("input[name=count]")
    for field in form.query_selector_all("input:not([type=hidden]):not([type=checkbox])"):
        name = field.get_attribute("name")
        if name == "typed":
            queue = urlsplit(button.page).path.split("/")[2:3]
            field.fill(count.get_attribute("value") if count else queue[0])
        elif not field.input_value():
            field.fill({"queue": "mail", "target": "web", "rate": "", "burst": ""}.get(name, "5"))
    boxes = form.query_selector_all("input[type=checkbox][value]:not([value=on])")
    if boxes:
        boxes[-1].check()  # the newest failed item is no job, which cannot be tried again
    with page.expect_navigation() as navigation:
        pressed.click()
    status = navigation.value.status
    assert status in (200, GONE), (button, page.inner_text("main"))
    if status == GONE:
        return str(page.inner_text("main"))
    return " ".join(page.locator(".notice").all_inner_texts())


def test_pages_and_actions_work_without_scripts(tmp_path: Path) -> None:
    with (
        busy_site(tmp_path, "plain") as site,
        signed_in(site) as new_context,
        new_context(java_script_enabled=False) as context,
    ):
        page = context.new_page()
        found = walk(site, page)
        assert len(found) >= KINDS
        said = {}
        for button in buttons(page, found):
            said[button] = press(page, button)
            print(*button, "->", said[button])
    # What becomes of a kill stands in its row.
    assert [each for each, text in said.items() if not text and "kill" not in each.kind] == []
    assert len(said) >= ACTIONS
