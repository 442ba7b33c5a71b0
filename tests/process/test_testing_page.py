"""The tests on docs/testing.md, run by pytest as the tests of a project."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.process.support import ROOT


def test_every_test_of_the_page_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "testing.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    names = [re.match(r"# (\w+\.py)\n", block) for block in blocks]
    assert all(names), "each is a file"
    for name, block in zip(names, blocks, strict=True):
        assert name
        (tmp_path / name[1]).write_text(block)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    tests = sum(len(re.findall(r"^ *def test_", block, re.MULTILINE)) for block in blocks)
    assert f"{tests} passed" in ran.stdout
