"""What is too long for .ci/run: chaos, a hundred shutdowns, the demo, three suites at once under
`nice`, many hypothesis examples, and the tests of this directory, each file as a step.

    scripts/acceptance                          # all of it, some 35 minutes on two idle cores
    scripts/acceptance --list                   # the names of the steps
    scripts/acceptance --only shutdowns         # repeatable
    scripts/acceptance --scale 0.1              # a tenth of it, to see that it works

Every step runs, also after one that failed; a table at the end says what passed, with the numbers.
Exit 1 when one failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FAKETIME = any(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
SUITES = 3
FEW_LINES = 60
MEASURED = "measured: "
"""As a test begins a line with its numbers."""
ASSERTION = re.compile(r"E {3,8}\S|FAILED |ERROR |[\w/]+\.py:\d+: ")
"""As pytest begins them: a line of an error, and where it was raised."""
MODELS = [
    "tests/unit/test_scripts_against_model.py",
    "tests/unit/test_forgetful_server.py",
]


class Failed(Exception):
    """With the output of what failed."""


def keep(name: str, output: str) -> str:
    """Write the whole output of a failed step to a file. Its last lines may all be the log of a
    worker, so the assertions of tests are returned, too."""
    path = Path(tempfile.gettempdir()) / f"gresque-acceptance-{name.replace(' ', '-')}.log"
    path.write_text(output)
    lines = output.splitlines()
    first, last = lines[:-FEW_LINES], lines[-FEW_LINES:]
    assertions = [line[:500] for line in first if ASSERTION.match(line)]
    return "\n".join([*assertions, *last, f"the whole output: {path}"])


def run(*command: str, **env: str) -> str:
    """Run a program to its end, and return its output."""
    ran = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if ran.returncode:
        raise Failed(ran.stdout.strip())
    return ran.stdout.strip()


def pytest(*arguments: str, **env: str) -> str:
    """The line of a run that counts the tests."""
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--verbosity=0")
    return run(*command, *arguments, **env).splitlines()[-1].strip("= ")


def chaos(happened: str, *options: str) -> Callable[[float], str]:
    """A minute of kills; what the options ask for must have happened."""

    def step(scale: float) -> str:
        seconds = str(max(20.0, 60 * scale))
        output = run(sys.executable, "benchmarks/chaos.py", "--for", seconds, *options)
        result: dict[str, Any] = next(
            json.loads(line) for line in output.splitlines() if line.startswith("{")
        )
        if result["lost"] or not result[happened]:
            raise Failed(output)
        return (
            f"{result['jobs']:,} jobs, {result['lost']} lost, {result['run_twice_or_more']:,} run "
            f"twice, {happened.replace('_', ' ')}: {result[happened]:,}"
        )

    return step


def shutdowns(scale: float) -> str:
    rounds = str(max(2, int(100 * scale)))
    return run(sys.executable, "benchmarks/shutdowns.py", "--rounds", rounds).splitlines()[-1]


def suites(scale: float) -> str:
    """The whole suite under `nice`, beside two others."""
    which = ["tests/unit/test_queues.py"] if scale < 1 else []
    command = ("nice", sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *which)
    counts = []
    with tempfile.TemporaryDirectory() as directory:
        logs = [Path(directory) / f"{number}.log" for number in range(SUITES)]
        running = []
        for log in logs:
            with log.open("wb") as output:
                running.append(
                    subprocess.Popen(
                        [*command, "--verbosity=0"], cwd=ROOT, stdout=output, stderr=output
                    )
                )
        codes = [process.wait() for process in running]
        for code, log in zip(codes, logs, strict=True):
            text = log.read_text(errors="replace").strip()
            if code:
                raise Failed(text)
            counts.append(text.splitlines()[-1].strip("= "))
    return "; ".join(counts)


def examples(scale: float) -> str:
    """The properties with 1,000 examples each, the models of the scripts with 500."""
    properties = pytest(
        "tests/unit", "-m", "hypothesis", GRESQUE_TEST_EXAMPLES=str(max(10, int(1000 * scale)))
    )
    models = pytest(*MODELS, GRESQUE_TEST_EXAMPLES=str(max(10, int(500 * scale))))
    return f"properties: {properties}; models: {models}"


def demo(scale: float) -> str:
    """As a user runs it: in under 40 s, nearly as fast as gevent alone, and nothing is lost."""
    started = time.monotonic()
    lines = run(sys.executable, "-m", "gresque", "demo").splitlines()
    seconds = time.monotonic() - started
    (speed,) = [line for line in lines if line.startswith("Speed")]
    share = int(speed.split(" % of")[0].split()[-1])
    if seconds > 40 or share < 90 or not lines[-1].endswith("; 0 lost"):
        raise Failed("\n".join([*lines, f"{seconds:.1f} s"]))
    return f"{seconds:.1f} s, {share} % of plain gevent; {lines[-1]}"


def tests_in(file: Path) -> Callable[[float], str]:
    """What they have measured stands before the count of them."""

    def step(scale: float) -> str:
        command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--verbosity=0")
        lines = run(*command, str(file), "-n", "0").splitlines()
        found = [line.partition(MEASURED)[2] for line in lines if MEASURED in line]
        return "; ".join([*found, lines[-1].strip("= ")])

    return step


STEPS: dict[str, Callable[[float], str]] = {
    "chaos with jobs that fork": chaos("jobs_that_fork", "--forks", "0.1"),
    "chaos with fail-overs": chaos(
        "fail_overs", "--fail-over-every", "8", "--kill-server-every", "0"
    ),
    "chaos with schedules": chaos("ticks", "--cron", "3", "--retried", "0.3", "--delayed", "0.3"),
    "chaos with clock steps": chaos("clock_steps", "--step-clock-every", "3"),
    "chaos with limits and unique jobs": chaos("pauses", "--flow", "0.6"),
    "shutdowns": shutdowns,
    "demo": demo,
    "suites under nice": suites,
    "examples": examples,
    **{
        f"tests of {file.stem.removeprefix('test_').replace('_', ' ')}": tests_in(file)
        for file in sorted(Path(__file__).parent.glob("test_*.py"))
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/acceptance", description="Run what is too long for .ci/run."
    )
    parser.add_argument("--only", choices=STEPS, action="append", help="repeatable")
    parser.add_argument("--scale", type=float, default=1.0, help="of seconds, rounds, examples")
    parser.add_argument("--list", action="store_true", help="the names of the steps")
    options = parser.parse_args()
    if options.list:
        print(*STEPS, sep="\n")
        return
    rows, failed = [], False
    for name in options.only or STEPS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        started = time.monotonic()
        result, numbers = "passed", ""
        if name == "chaos with clock steps" and not FAKETIME:
            result, numbers = "left out", "needs Debian's package faketime"
        else:
            try:
                numbers = STEPS[name](options.scale)
            except Failed as error:
                result, failed = "FAILED", True
                print(keep(name, str(error)), file=sys.stderr, flush=True)
        rows.append(f"| {name} | {result} | {numbers} | {time.monotonic() - started:.0f} s |")
    print("| step | result | numbers | took |", "|---|---|---|---|", *rows, sep="\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
