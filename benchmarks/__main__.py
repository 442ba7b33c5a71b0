"""What `scripts/bench` runs.

    scripts/bench                  # gresque and its peers side by side: benchmarks/compare.py
    scripts/bench own              # gresque's own goals: throughput, latency, idle, ...
    scripts/bench report           # the results of both into docs/performance.md

`scripts/bench --help` and `scripts/bench own --help` tell their options.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks import compare, report
from benchmarks.harness import BUILD, ROOT

OWN = {
    "throughput": ["--all"],
    "latency": [],
    "idle": [],
    "fleet": ["--processes", "400", "--only", "idle", "--only", "80", "--only", "long"],
    "growth": [],
    "fairness": [],
    "enqueueing": [],
    "enqueueing_at_once": [],
    "event_loop": [],
    "floors": [],
    "inspecting": [],
    "flow": [],
    "waiting": [],
    "cost": [],
}
QUICK = ["--runs", "1", "--scale", "0.05"]


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["own"]:
        own(arguments[1:])
    elif arguments == ["report"]:
        report.main()
    elif arguments[:1] == ["--help"]:
        print(__doc__)
        compare.main(arguments)
    else:
        compare.main(arguments)


def own(arguments: list[str]) -> None:
    """Run gresque's own benchmarks, one after the other; their JSON lines go to a file."""
    parser = argparse.ArgumentParser(prog="scripts/bench own")
    parser.add_argument("--only", choices=OWN, action="append", help="repeatable")
    parser.add_argument("--runs", default="3")
    parser.add_argument("--quick", action="store_true", help="once and small, to see that it works")
    parser.add_argument("--out", type=Path, default=BUILD / "own.jsonl", help="overwritten")
    options = parser.parse_args(arguments)
    BUILD.mkdir(parents=True, exist_ok=True)
    with options.out.open("w") as out:
        for name in options.only or OWN:
            print(f"\n{name}", file=sys.stderr, flush=True)
            size = QUICK if options.quick else ["--runs", options.runs]
            command = [sys.executable, "-m", f"benchmarks.{name}", *OWN[name], *size]
            run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
            out.write(run.stdout)
            out.flush()
            if run.returncode:
                print(f"{name} failed, exit {run.returncode}", file=sys.stderr)


if __name__ == "__main__":
    main()
