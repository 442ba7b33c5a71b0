"""The pictures of the pages and of `gresque top`: a second run makes the same ones."""

from __future__ import annotations

import base64

from tests.acceptance.screenshots import ALL, SCREENS, take
from tests.support.browser import chromium, needs_browser

DIFFERENCE = """async ([one, two]) => {
    const pixels = async (data) => {
        const image = new Image();
        image.src = `data:image/png;base64,${data}`;
        await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height);
        const context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        return context.getImageData(0, 0, image.width, image.height).data;
    };
    const [a, b] = [await pixels(one), await pixels(two)];
    if (a.length !== b.length) return 1;
    let differ = 0;
    for (let at = 0; at < a.length; at += 4)
        if ([0, 1, 2].some((each) => Math.abs(a[at + each] - b[at + each]) > 24)) differ++;
    return 4 * differ / a.length;
}"""
ANTIALIASED = 0.0005
"""Of the pixels as many may differ."""

pytestmark = needs_browser


def test_a_second_run_makes_the_same_pictures() -> None:
    first, second = dict(take()), dict(take())
    assert len(first) == len(ALL) + len(SCREENS) == 36
    assert first.keys() == second.keys()
    differ = [name for name in first if first[name] != second[name]]
    print(f"{len(differ)} of {len(first)} differ in bytes")
    with chromium() as browser:
        page = browser.new_page()
        for name in differ:
            both = [base64.b64encode(each[name]).decode() for each in (first, second)]
            assert page.evaluate(DIFFERENCE, both) <= ANTIALIASED, name
