"""Plain words in the code and in the docs."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXTS = [
    *(ROOT / "gresque").rglob("*.py"), *(ROOT / "gresque").rglob("*.lua"),
    *(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md"), *(ROOT / "examples").iterdir(),
    *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "scripts").iterdir(),
]  # fmt: skip

AVOIDED = re.compile(
    r"""\b(
        amid | anew | shall | whoever | whomever | heeds? | heeded | mend(s|ed)? | bites? | goes\
        round | one's\ own | dies\ well | takes\ its\ leave | told | somebody | unasked | herald |
        deputy | at\ (least|most)\ so | read\ along | says\ no\ time | tells\ (it|them)\ from |
        so\ (many|long)\ (jobs|seconds|times|at\ most|bytes|entries|processes|threads|values|lines|
        workers|leave|ended) )\b""",
    re.VERBOSE | re.IGNORECASE,
)


def test_no_word_that_needs_a_second_reading() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in TEXTS
        if path.is_file()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for match in AVOIDED.finditer(line)
    ]
    assert not found, "\n".join(found)
