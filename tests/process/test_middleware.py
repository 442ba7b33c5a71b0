"""Context with real masters: no job sees that of another one, and no end of a job loses it."""

from __future__ import annotations

from typing import Any

import pytest

import gresque
from tests.process.support import Bench
from tests.support.middleware import own_middleware_fixture as own_middleware_fixture

OURS = ("-q", "q", "-r", "tests.process.middleware_jobs")


@pytest.fixture(autouse=True)
def _its_argument_is_its_tenant(own_middleware: None) -> None:
    @gresque.enqueue_middleware
    def add_tenant(message: gresque.Message, call_next: Any) -> Any:
        message.meta["tenant"] = message.args[0]
        return call_next()


def seen(bench: Bench) -> list[str]:
    return [each.decode() for each in bench.redis.lrange("seen", 0, -1)]


def test_ten_thousand_jobs_see_their_own_tenant_each(bench: Bench) -> None:
    bench.client.enqueue_many("TenantOf", ((number,) for number in range(10_000)), queue="q")
    master = bench.run(*OURS, "-t", "1000", "-j", "99999", "--burst")
    assert bench.failed() == []
    assert (bench.stat("processed"), bench.stat("failed")) == (10_000, 0), master.log


def test_hooks_attempts_and_retries_by_hand_have_it(bench: Bench) -> None:
    bench.client.enqueue_to("q", "TenantHooks", 7)
    bench.run(*OURS, "-t", "1", "-j", "99", "--burst")
    one = ["before", "around", "perform"]
    places = [*(f"{place} 1" for place in (*one, "retry"))]
    places += [f"{place} 2" for place in (*one, "failure", "give up")]
    assert seen(bench) == [f"{place} [7, 7, 7]" for place in places]

    bench.redis.delete("seen")
    retry_all(bench)
    bench.client.enqueue_to("q", "TenantQuiet", 8)
    bench.run(*OURS, "-t", "1", "-j", "99", "--burst")
    assert [each for each in seen(bench) if not each.endswith("[7, 7, 7]")] == ["after 1 [8, 8, 8]"]
    assert len(seen(bench)) == len(places) + 1


def retry_all(bench: Bench) -> None:
    from gresque.cli.main import run

    assert run(["failed", "retry", "--all", "--yes", "--redis", bench.redis_url]) == 0


def test_a_job_whose_process_was_killed_has_it(bench: Bench) -> None:
    bench.client.enqueue_to("q", "TenantDies", 7)
    bench.run(*OURS, "-t", "1", "-j", "99", "--burst")
    assert seen(bench) == ["dies 1 [7, 7, 7]"] * 2
    assert (bench.stat("processed"), bench.stat("failed")) == (1, 0)
