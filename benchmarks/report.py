"""From results to docs/performance.md and its charts: `scripts/bench report`.

Takes build/bench/results.jsonl (the peers) and build/bench/own.jsonl (gresque's own goals), and
writes what stands between the markers in docs/performance.md. The prose around them is by hand.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks import floor_table
from benchmarks.chart import Bar, bars
from benchmarks.compare import PEERS, REFERENCE, RESULTS
from benchmarks.harness import BUILD, ROOT, readable

PAGE = ROOT / "docs" / "performance.md"
CHARTS = ROOT / "docs" / "performance"
README = ROOT / "README.md"
README_ROWS = {
    "no-op jobs/s, 2 × 100 on two cores": "no-op, 2 x 100",
    "jobs of 50 ms a second, 2 × 1000; the ideal is 40,000": "50 ms, 2 x 1000",
}
"""Rows of the README's table of comparison whose cells are medians from here."""

Line = dict[str, Any]

NAMES = {
    "gresque": "gresque",
    "celery": "Celery",
    "dramatiq": "Dramatiq",
    "rq": "RQ",
    "huey": "Huey",
    "taskiq": "taskiq",
    "streaq": "streaq",
    "saq": "SAQ",
    "arq": "arq",
    REFERENCE: "plain gevent",
}
THROUGHPUT = (
    "no-op, 2 x 100",
    "no-op, 2 x 1000",
    "50 ms, 2 x 100",
    "50 ms, 2 x 1000",
    "50 ms, 2 x 5000",
    "http, 2 x 200",
    "http pooled, 2 x 200",
)
REST = "at rest, 2 x 100"
TWENTY, PLAIN, WAITING = "latency, 20 queues", "latency, plain RPUSH", "waiting jobs, 2 x 1000"
OTHER = (TWENTY, PLAIN, WAITING)


def main() -> None:
    sections: dict[str, str] = {}
    if RESULTS.exists():
        peers = Peers(_lines(RESULTS))
        sections |= peers.sections()
        CHARTS.mkdir(parents=True, exist_ok=True)
        for name, chart in peers.charts().items():
            (CHARTS / f"{name}.svg").write_text(chart)
        README.write_text(peers.in_readme(README.read_text()))
    own = BUILD / "own.jsonl"
    if own.exists():
        lines = _lines(own)
        own_goals = [line for line in lines if line["benchmark"] not in ("cost", "floors")]
        beside = floor_table.pairs(line for line in lines if line["benchmark"] == "floors")
        cost = [line for line in lines if line["benchmark"] == "cost"]
        # What has not been measured keeps its table.
        if own_goals:
            sections["goals"] = goals(own_goals)
        if beside:
            sections["floors"] = floor_table.table(beside)
        if cost:
            sections["cost"] = costs(cost)
    if not sections:
        sys.exit("no results: run scripts/bench and scripts/bench own first")
    page = PAGE.read_text()
    for name, text in sections.items():
        page = _replace(page, name, text)
    PAGE.write_text(page)
    print(f"wrote {', '.join(sections)} into {PAGE.relative_to(ROOT)}", file=sys.stderr)


def _lines(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def _replace(page: str, name: str, text: str) -> str:
    """Put the text between `<!-- name -->` and `<!-- /name -->`."""
    between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    page, found = between.subn(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", page)
    if not found:
        sys.exit(
            f"{PAGE.name} has no place for {name!r}: it needs <!-- {name} --> <!-- /{name} -->"
        )
    return page


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class Peers:
    """The side-by-side results."""

    def __init__(self, lines: list[Line]) -> None:
        self._machine = next(line for line in lines if "machine" in line)
        self._about = {line["about"]: line for line in lines if "about" in line}
        self._runs: dict[tuple[str, str], list[Line]] = defaultdict(list)
        for line in lines:
            if "peer" in line:
                self._runs[line["peer"], line["scenario"]].append(line)
        self._peers = [peer for peer in PEERS if peer in self._about]

    def sections(self) -> dict[str, str]:
        return {
            "machine": self._machine_line(),
            "throughput": self._throughput_table(),
            "rest": self._rest_table(),
            "failures": self._failures(),
            "settings": self._settings_table(),
        }

    def charts(self) -> dict[str, str]:
        found = {
            "noop": self._rate_chart("No-op jobs per second", "no-op, 2 x 100"),
            "waiting": self._rate_chart(
                "Jobs of 50 ms per second; the ideal is 40,000", "50 ms, 2 x 1000"
            ),
            "http": self._rate_chart(
                "HTTP requests per second, each a job", "http, 2 x 200", reference=True
            ),
            "latency": self._latency_chart(),
        }
        return {name: chart for name, chart in found.items() if chart}

    def in_readme(self, text: str) -> str:
        """The README with the medians in its table; columns of what is not measured here stay."""
        rows = [line for line in text.splitlines() if line.startswith("| ")]
        for row in rows:
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            if cells[0] not in README_ROWS:
                continue
            head = next(r for r in rows if r.count("|") == row.count("|") and "gresque" in r)
            names = [cell.strip().split(" (")[0] for cell in head.strip("|").split("|")]
            for peer, name in NAMES.items():
                values = self._values(peer, README_ROWS[cells[0]], "jobs_per_second")
                if name in names and values:
                    cells[names.index(name)] = readable(statistics.median(values))
            text = text.replace(row, f"| {' | '.join(cells)} |")
        return text

    def _values(self, peer: str, scenario: str, key: str) -> list[float]:
        return [run[key] for run in self._runs[peer, scenario] if key in run]

    def _cell(
        self, peer: str, scenario: str, key: str, words: Callable[[float], str] = readable
    ) -> str:
        """The median, and what the runs spread over where they do."""
        values = self._values(peer, scenario, key)
        if not values:
            runs = self._runs[peer, scenario]
            return "failed" if any("error" in run for run in runs) else "–"
        low, middle, high = map(words, (min(values), statistics.median(values), max(values)))
        return middle if low == high else f"{middle} ({low} – {high})"

    def _machine_line(self) -> str:
        it = self._machine["machine"]
        return (
            f"Measured on {it['date']}: {it['cores']} cores of {it['cpu']}, {it['memory_gb']} GB, "
            f"{it['system']}, Python {it['python']}, {it['server']} on the same cores. Medians of "
            f"up to {self._machine['runs']} alternating runs, the lowest and the highest in "
            "parentheses."
        )

    def _throughput_table(self) -> str:
        scenarios = [s for s in THROUGHPUT if any(key[1] == s for key in self._runs)]
        peers = [*self._peers, *([REFERENCE] if REFERENCE in self._about else [])]
        return table(
            ["jobs/s", *scenarios],
            [
                [NAMES[peer], *(self._cell(peer, s, "jobs_per_second") for s in scenarios)]
                for peer in peers
            ],
        )

    def _rest_table(self) -> str:
        columns = (
            ("CPU, %", REST, "idle_cpu_percent"),
            ("commands/s", REST, "idle_commands_per_second"),
            ("memory, MB", REST, "memory_mb"),
            ("2,000 jobs waiting, MB", WAITING, "memory_mb_2000_waiting"),
            ("pick-up p50, ms", REST, "latency_p50_ms"),
            ("p99, ms", REST, "latency_p99_ms"),
            ("20 queues p50, ms", TWENTY, "latency_p50_ms"),
            ("p99, ms", TWENTY, "latency_p99_ms"),
        )
        rows = [
            [NAMES[peer], *(self._cell(peer, scenario, key) for _, scenario, key in columns)]
            for peer in self._peers
        ]
        plain = [self._cell("gresque", PLAIN, f"latency_p{percent}_ms") for percent in (50, 99)]
        rows.append(["gresque, plain RPUSH", *["–"] * 4, *plain, *["–"] * 2])
        return table(["", *(name for name, _, _ in columns)], rows)

    def _failures(self) -> str:
        """Runs that failed, were cut off, or came with errors in the log."""
        lines = []
        for (peer, scenario), runs in self._runs.items():
            for run in runs:
                where = f"- {NAMES[peer]}, {scenario}, run {run['run']}: "
                if "error" in run:
                    lines.append(f"{where}failed: {_code(run['error'])}")
                elif "complaints" in run:
                    lines.append(f"{where}logged {_code(run['complaints'][0])}")
                elif run.get("never_started"):
                    lines.append(f"{where}{run['never_started']} jobs had not started after 6 s")
        return "\n".join(lines) or "No run failed, and none logged an error."

    def _settings_table(self) -> str:
        return table(
            ["", "versions", "settings and why"],
            [
                [
                    NAMES[peer],
                    ", ".join(f"{name} {v}" for name, v in about["versions"].items()),
                    about["settings"].replace("|", "\\|"),
                ]
                for peer, about in self._about.items()
            ],
        )

    def _rate_chart(self, title: str, scenario: str, *, reference: bool = False) -> str:
        rows = []
        for peer in [*self._peers, *([REFERENCE] if reference else [])]:
            values = self._values(peer, scenario, "jobs_per_second")
            if values:
                median = statistics.median(values)
                rows.append(Bar(NAMES[peer], median, readable(median), ours=peer == "gresque"))
        rows.sort(key=lambda row: -row.high)
        return bars(title, self._note(scenario), rows) if rows else ""

    def _latency_chart(self) -> str:
        rows = []
        for peer in self._peers:
            p50 = self._values(peer, REST, "latency_p50_ms")
            p99 = self._values(peer, REST, "latency_p99_ms")
            if p50:
                low, high = statistics.median(p50), statistics.median(p99)
                words = f"{readable(low)} – {readable(high)} ms"
                rows.append(Bar(NAMES[peer], high, words, low=low, ours=peer == "gresque"))
        rows.sort(key=lambda row: row.low)
        title = "From enqueue to start, idle worker: median to 99th percentile"
        return bars(title, self._note(REST), rows, logarithmic=True) if rows else ""

    def _note(self, scenario: str) -> str:
        it = self._machine["machine"]
        return f"{scenario} greenlets or tasks, {it['cores']} cores, {it['server']}, {it['date']}"


def _code(text: str) -> str:
    return "`" + text.replace("`", "'")[:160] + "`"


def goals(lines: list[Line]) -> str:
    """gresque's own measurements against their goals, by benchmark."""
    found: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        found[line["benchmark"], line["scenario"]].append(line)
    out = []
    for benchmark in dict.fromkeys(name for name, _ in found):
        rows = []
        for (name, scenario), runs in found.items():
            if name != benchmark:
                continue
            values = [run["value"] for run in runs]
            median = statistics.median(values)
            spread = f"{readable(min(values))} – {readable(max(values))}"
            rows.append([scenario, readable(median), spread, *_verdict(runs[0], median)])
        head = [benchmark, "median", "lowest – highest", "goal", ""]
        out.append(table(head, rows))
    return "\n\n".join(out)


def costs(lines: list[Line]) -> str:
    """What a job costs in µs: each whole, and its parts below it; whole jobs also in plain ones."""
    values: dict[str, list[float]] = defaultdict(list)
    units: dict[str, str] = {}
    for line in lines:
        values[line["scenario"]].append(line["value"])
        units[line["scenario"]] = " ×" if line["unit"] == "×" else ""
    rows = []
    for scenario, found in values.items():
        median = f"{max(statistics.median(found), 0):.2f}{units[scenario]}"
        where, _, part = scenario.partition(": ")
        whole = part == "all of it" or where in ("client", "job")
        rows.append(
            [f"**{where}: {part}**" if whole else part, f"**{median}**" if whole else median]
        )
    return table(["", "µs a job"], rows)


def _verdict(line: Line, median: float) -> tuple[str, str]:
    if "goal" not in line:
        return line["unit"], ""
    met = median <= line["goal"] if line["at_most"] else median >= line["goal"]
    sign = "≤" if line["at_most"] else "≥"
    return f"{sign} {readable(line['goal'])} {line['unit']}", "met" if met else "**missed**"


if __name__ == "__main__":
    main()
