"""What `/metrics` answers: the numbers of the cluster in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from gresque.inspector.exported import Exported, QueueNumbers
from gresque.inspector.look import ProcessLook
from gresque.store.metric_fields import SHORT_SECONDS
from gresque.text import printable
from gresque.web.totals import Recovered, TimeTotals, Totals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS = range(0, 26, 2)
"""The buckets of histograms whose ends are given: 5 ms, 20 ms and so on, to 23 h."""
SLOTS = 500
"""Processes that have values of their own; the others are left out."""


class _OfQueue(NamedTuple):
    name: str
    help: str
    value: Callable[[QueueNumbers], float | None]


class _OfProcess(NamedTuple):
    name: str
    help: str
    value: Callable[[ProcessLook], float | None]


_QUEUES = (
    _OfQueue("gresque_queue_length", "Jobs that wait in the queue.", lambda each: each.length),
    _OfQueue(
        "gresque_queue_latency_seconds",
        "For how long the next job of the queue has waited.",
        lambda each: each.latency_seconds,
    ),
    _OfQueue(
        "gresque_queue_running", "Jobs of the queue that processes hold.", lambda each: each.running
    ),
    _OfQueue("gresque_queue_paused", "1 while the queue is paused.", lambda each: each.is_paused),
    _OfQueue(
        "gresque_queue_limit",
        "The most jobs of the queue that run at once.",
        lambda each: each.limit,
    ),
)
_PROCESSES = (
    _OfProcess(
        "gresque_process_rss_bytes",
        "Resident memory of a worker process.",
        lambda each: None if each.vitals is None else each.vitals.rss,
    ),
    _OfProcess(
        "gresque_loop_lag_seconds",
        "The longest that the loop of a worker process did not turn lately.",
        lambda each: None if each.vitals is None else each.vitals.lag,
    ),
)


def families(found: Exported, totals: Totals) -> list[Any]:
    """The families of a shard. A process is known by its `slot`, its position among all of them:
    pids and hosts would make new series for ever. Raises redis-py's errors."""
    return [
        *_counters(found, totals.recoveries.counts()),
        _jobs(totals.jobs.counts()),
        *_times(totals.times),
        *_gauges(found),
        *_by_label(found),
    ]


def render(found: Mapping[str, list[Any]], missing: Sequence[str] = ()) -> bytes:
    """The text of one scrape: the families of the shards, by their names. Where there are several,
    or one is missing, each series has its shard as a label, and `gresque_shard_up` says which
    answer."""
    registry = CollectorRegistry(auto_describe=False)
    alone = len(found) == 1 and not missing
    registry.register(_Families(*found.values() if alone else [_merged(found, missing)]))
    return bytes(generate_latest(registry))


def _merged(found: Mapping[str, list[Any]], missing: Sequence[str]) -> list[Any]:
    up = GaugeMetricFamily("gresque_shard_up", "1 while the shard answers.", labels=["shard"])
    for shard in (*found, *missing):
        up.add_metric([printable(shard)], float(shard in found))
    merged: dict[str, Any] = {up.name: up}
    for shard, of_shard in found.items():
        for family in of_shard:
            samples = [
                each._replace(labels={"shard": printable(shard), **each.labels})
                for each in family.samples
            ]
            if family.name in merged:
                merged[family.name].samples += samples
            else:
                family.samples = samples
                merged[family.name] = family
    return [*merged.values()]


class _Families(Collector):
    def __init__(self, families: Iterable[Any]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Any]:
        return self._families


def _counters(found: Exported, recovered: Recovered) -> Iterator[Any]:
    for name, text, number in (
        ("gresque_processed", "Jobs that ended, the failed ones included.", found.processed),
        ("gresque_failed", "Jobs that failed.", found.failed),
        (
            "gresque_retried",
            "Attempts that failed and are followed by another one.",
            found.retried,
        ),
        (
            "gresque_recoveries",
            "Worker processes that died and whose jobs were recovered.",
            recovered.recoveries,
        ),
        ("gresque_recovered_jobs", "Jobs that these held.", recovered.jobs),
        ("gresque_poison", "Jobs that failed as several processes died of them.", recovered.poison),
    ):
        yield CounterMetricFamily(name, text, value=number)


def _jobs(jobs: Mapping[tuple[str, str, str], int]) -> Any:
    family = CounterMetricFamily(
        "gresque_jobs",
        "Jobs by queue, class and outcome since the start of this dashboard, two minutes late.",
        labels=["queue", "job", "outcome"],
    )
    for (queue, job, outcome), count in jobs.items():
        family.add_metric([printable(queue), printable(job), outcome], count)
    return family


def _times(times: TimeTotals) -> Iterator[Any]:
    for name, text, label, found in (
        ("gresque_job_duration_seconds", "Run times of jobs.", "job", times.runs()),
        (
            "gresque_job_wait_seconds",
            "For how long jobs had waited that were started; a sample of them.",
            "queue",
            times.waits(),
        ),
    ):
        family = HistogramMetricFamily(name, text, labels=[label])
        for each, buckets in found.items():
            counts = [*accumulate(buckets)]
            bounds = [(f"{SHORT_SECONDS * (1 << at):g}", counts[at]) for at in BOUNDS]
            # The sum of the times is not kept.
            family.add_metric([printable(each)], [*bounds, ("+Inf", counts[-1])], sum_value=None)
        yield family


def _gauges(found: Exported) -> Iterator[Any]:
    busy = sum(each.vitals.threads for each in found.processes if each.vitals is not None)
    for name, text, number in (
        (
            "gresque_delayed_jobs",
            "Jobs that wait for their time, those that are to be tried again included.",
            found.delayed,
        ),
        ("gresque_failed_jobs", "Failed jobs that are kept.", found.failed_jobs),
        ("gresque_workers", "Registered workers, of other programs too.", found.workers),
        ("gresque_threads", "Threads of all worker processes.", found.threads),
        ("gresque_threads_busy", "Threads that run a job.", busy),
        (
            "gresque_maintenance_holder",
            "1 while a maintenance process has the lease.",
            found.has_maintenance,
        ),
        (
            "gresque_promotion_lateness_seconds",
            "For how long the first delayed job is overdue.",
            found.lateness_seconds,
        ),
        ("gresque_redis_trip_seconds", "A round trip to Redis.", found.trip_seconds),
    ):
        yield GaugeMetricFamily(name, text, value=float(number))


def _by_label(found: Exported) -> Iterator[Any]:
    states: dict[str, int] = {}
    for process in found.processes:
        states[process.state or "new"] = states.get(process.state or "new", 0) + 1
    family = GaugeMetricFamily(
        "gresque_processes", "Worker processes by their state.", labels=["state"]
    )
    for state, count in sorted(states.items()):
        family.add_metric([printable(state)], count)
    yield family
    for of_queue in _QUEUES:
        family = GaugeMetricFamily(of_queue.name, of_queue.help, labels=["queue"])
        for each in found.queues:
            number = of_queue.value(each)
            if number is not None:
                family.add_metric([printable(each.queue)], float(number))
        yield family
    for of_process in _PROCESSES:
        family = GaugeMetricFamily(of_process.name, of_process.help, labels=["slot"])
        for slot, process in enumerate(found.processes[:SLOTS]):
            number = of_process.value(process)
            if number is not None:
                family.add_metric([str(slot)], float(number))
        yield family
