"""The parts of the benchmarks that would only fail after half an hour of measuring."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import textwrap
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from benchmarks import floor_table, report
from benchmarks.chart import Bar, bars
from benchmarks.compare import PEERS, REFERENCE, SCENARIOS
from benchmarks.harness import ROOT
from benchmarks.pair import Tree, Values, compare
from benchmarks.parts import SCRIPT_PARTS, THREAD_PARTS, changed
from gresque.connection.scripts import script
from gresque.worker.threads.thread import WorkerThread

HOME = Path(__file__).parents[2] / "benchmarks" / "peers"
README = (HOME.parents[1] / "README.md").read_text()


@pytest.mark.parametrize("peer", [*PEERS, REFERENCE])
def test_each_peer_has_its_packages_and_its_reasons(peer: str) -> None:
    assert HOME.joinpath(f"{peer}.txt").read_text().strip()
    module = ast.parse(HOME.joinpath(f"{peer}.py").read_text())
    assert len(ast.get_docstring(module) or "") > 80
    assigned = {
        target.id
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert {"JOBS_PER_SECOND", "MANY_QUEUES"} <= assigned


@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_chart_is_well_formed_and_inside_its_frame(logarithmic: bool) -> None:
    rows = [Bar("a<b", 420_000, "420,000", low=1.5, ours=True), Bar("c", 0.9, "0.9", low=0.02)]
    svg = ElementTree.fromstring(bars("x & y", "note", rows, logarithmic=logarithmic))
    frame = float(svg.attrib["width"])
    for bar in svg.iter("{http://www.w3.org/2000/svg}rect"):
        assert 0 <= float(bar.attrib["x"]) < float(bar.attrib["x"]) + float(bar.attrib["width"])
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) <= frame
    assert "a<b" in {text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")}


def lines() -> list[dict[str, Any]]:
    machine = {
        "date": "2026-11-24", "cpu": "a CPU", "cores": 2, "memory_gb": 24, "system": "Linux x86_64",
        "python": "3.11.7", "server": "Valkey 9.1.2",
    }  # fmt: skip
    out: list[dict[str, Any]] = [{"machine": machine, "run_seconds": 3.0, "runs": 3}]
    for peer, rate in (("gresque", 400_000), ("celery", 2_000)):
        out += [
            {"peer": peer, "scenario": "no-op, 2 x 100", "run": run, "jobs_per_second": rate * run}
            for run in (1, 2, 3)
        ]
        out.append({"about": peer, "versions": {peer: "1.0"}, "settings": "as it comes"})
    out.append({"peer": "celery", "scenario": "http, 2 x 200", "run": 1, "error": "it hangs"})
    return out


def test_medians_spread_and_failures_are_told() -> None:
    sections = report.Peers(lines()).sections()
    assert "| Celery | 4,000 (2,000 – 6,000) | failed |" in sections["throughput"]
    assert sections["failures"] == "- Celery, http, 2 x 200, run 1: failed: `it hangs`"
    assert "| Celery | celery 1.0 | as it comes |" in sections["settings"]
    assert set(report.Peers(lines()).charts()) == {"noop"}


def test_the_readme_gets_the_medians_and_keeps_the_rest() -> None:
    row = next(line for line in README.splitlines() if line.startswith("| no-op jobs/s"))
    after = report.Peers(lines()).in_readme(README)
    new = next(line for line in after.splitlines() if line.startswith("| no-op jobs/s"))
    old_cells, cells = row.split(" | "), new.split(" | ")
    assert cells[1:3] == ["800,000", "4,000"]
    assert cells[3:] == old_cells[3:]
    assert after.replace(new, row) == README


def test_every_section_has_its_place_in_the_page() -> None:
    page = report.PAGE.read_text()
    for name in [*report.Peers(lines()).sections(), "goals", "cost"]:
        assert f"<!-- {name} -->" in page
        assert "new text" in report._replace(page, name, "new text")


def test_goals_are_met_or_missed() -> None:
    line = {
        "benchmark": "b",
        "scenario": "s",
        "value": 3.0,
        "unit": "ms",
        "goal": 5,
        "at_most": True,
    }
    assert "| s | 3 | 3 – 3 | ≤ 5 ms | met |" in report.goals([line])
    assert "**missed**" in report.goals([line | {"at_most": False}])


def test_every_scenario_is_reported() -> None:
    told = {*report.THROUGHPUT, report.REST, *report.OTHER}
    assert {scenario.name for scenario in SCENARIOS} == told


def test_the_costs_of_whole_jobs_are_told_in_plain_jobs_too() -> None:
    values = [
        ("thread: all of it", 1.35, "µs a job"),
        ("thread: call the job", 0.35, "µs a job"),
        ("job: plain", 5.0, "µs a job"),
        ("job: delayed, in plain jobs", 2.2, "×"),
    ]
    lines = [{"scenario": name, "value": value, "unit": unit} for name, value, unit in values]
    rows = report.costs(lines).splitlines()[2:]
    assert rows == [
        "| **thread: all of it** | **1.35** |",
        "| call the job | 0.35 |",
        "| **job: plain** | **5.00** |",
        "| **job: delayed, in plain jobs** | **2.20 ×** |",
    ]


def test_the_parts_of_a_jobs_cost_are_in_the_code() -> None:
    """A part whose text has changed is left out of the table: then name it anew in parts.py."""
    source = textwrap.dedent(inspect.getsource(WorkerThread._work))
    lua = script("cycle").text.decode()
    gone = [part for part, changes in THREAD_PARTS.items() if changed(source, changes) is None]
    gone += [part for part, changes in SCRIPT_PARTS.items() if changed(lua, changes) is None]
    assert gone == []


def test_two_trees_are_compared_pair_by_pair_in_turns() -> None:
    asked: list[str] = []

    def measure(_: Any, tree: Any) -> dict[str, float]:
        asked.append(tree)
        return {"ms": len(asked)}

    found = compare(None, "base", "new", measure, 2)  # type: ignore[arg-type]
    assert asked == ["base", "new", "new", "base", "base", "new"]
    assert found == {"ms": Values(base=[4, 5], new=[3, 6])}


def test_a_ratio_is_that_of_the_medians() -> None:
    row = Values(base=[1.0, 2.0, 4.0], new=[2.0, 2.0, 2.0]).row("enqueue", "ms")
    assert row == "| enqueue | ms | 2 | 2 | 1.000 | 0.500 to 2.000 |"


def test_a_tree_runs_its_own_gresque_wherever_the_bench_is_started(tmp_path: Path) -> None:
    (tmp_path / "gresque").mkdir()
    (tmp_path / "gresque" / "__init__.py").touch()
    (tmp_path / "gresque" / "__main__.py").write_text("print('mine')")
    tree = Tree(tmp_path)
    ran = subprocess.run(
        [tree.python, "-m", "gresque"],
        cwd=ROOT, env={**os.environ, **tree.env}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.stdout == "mine\n", ran.stderr


def test_each_figure_is_judged_by_its_ratio_to_its_floor() -> None:
    lines = [
        {"scenario": "pick-up, enqueue", "value": ours, "floor": floor}
        for ours, floor in ((1.0, 1.0), (2.4, 2.0), (6.0, 3.0))
    ]
    lines += [{"scenario": "half of the jobs fail", "value": 39_000, "floor": 0}]
    lines += [{"scenario": "the same 2x100", "value": 3, "floor": 4}]
    rows = floor_table.table(floor_table.pairs(lines)).splitlines()[2:]
    assert rows == [
        "| pick-up, enqueue | 2.4 ms, p50 | 2 | bare BLPOP | 1.20 | 1.00 – 2.00 | ≤ 1.30 | met |",
        "| half of the jobs fail | 39,000 jobs/s | – |  | 39,000 | 39,000 – 39,000 | ≥ 40,000 "
        "| **missed** |",
        "| the same 2x100 | 3 jobs/s | 4 | the least cycle | 0.75 | 0.75 – 0.75 |  |  |",
    ]
