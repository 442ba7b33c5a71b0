"""A job module that takes its time: IMPORT_SECONDS, or until there is the file IMPORT_UNTIL."""

import os
import time
from pathlib import Path

print("importing\n", end="", flush=True)
if "IMPORT_UNTIL" in os.environ:
    while not Path(os.environ["IMPORT_UNTIL"]).exists():
        time.sleep(0.01)
else:
    time.sleep(float(os.environ.get("IMPORT_SECONDS", "60")))
