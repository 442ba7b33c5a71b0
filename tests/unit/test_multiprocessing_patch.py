"""What is patched beside gevent's own patches."""

from __future__ import annotations

import subprocess
import sys

AS_GEVENT_25 = """
import os
import gevent.os
if "close" in gevent.os.__implements__:
    gevent.os.__implements__.remove("close")
    gevent.os.close = os.close
from gevent.monkey import patch_all
patch_all()
from gresque.worker.multiprocessing_patch import patch_processes
patch_processes()
os.close(os.dup(1))
"""


def test_a_gevent_that_does_not_patch_close() -> None:
    """To close a descriptor then called itself without end."""
    subprocess.run([sys.executable, "-c", AS_GEVENT_25], check=True)
