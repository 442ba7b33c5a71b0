"""A job module that takes its time."""

import os
import time

print("importing", flush=True)
time.sleep(float(os.environ.get("IMPORT_SECONDS", "60")))
