"""The examples: that of supervisord is what `gresque supervisor-config` prints (test_supervisord.py
and test_supervisor.py); this is the one for systemd."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

from tests.process.support import ROOT

EXAMPLES = ROOT / "examples"


def test_the_systemd_unit_names_what_exists(tmp_path: Path) -> None:
    text = (EXAMPLES / "gresque.service").read_text()
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    assert unit["Service"]["KillSignal"] == "SIGQUIT"
    assert unit["Service"]["Type"] == "notify"
    assert unit["Service"]["ExecStart"].split()[1] == "work"
    if analyze := shutil.which("systemd-analyze"):
        path = tmp_path / "gresque.service"
        text = text.replace("/srv/myapp/.venv/bin/gresque", sys.executable)
        path.write_text(text.replace("=/srv/myapp", f"={ROOT}"))
        checked = subprocess.run(
            [analyze, "verify", str(path)], check=False, capture_output=True, text=True
        )
        assert str(path) not in checked.stderr, checked.stderr
