"""What the API does, through `control/`. The docstrings and types are also its description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from flask import abort
from msgspec import Meta

from gresque.client.delayed import DelayedJob, DelayedJobs
from gresque.control import delayed, flow, schedules
from gresque.control.counts import verify
from gresque.control.kill import Killed, kill_all, outcomes
from gresque.control.locks import release_lock
from gresque.control.targets import targets_named
from gresque.text import counted
from gresque.web.actions import by
from gresque.web.api.shapes import Asked, Done, Nothing, OfQueue, QueueName
from gresque.web.parts import ask_parts, without
from gresque.web.site import Site, site

KILL_SECONDS = 3.0

Ids = Annotated[list[str], Meta(min_length=1, max_length=1000, description="Ids of jobs.")]
Name = Annotated[str, Meta(min_length=1, description="The name of a schedule entry.")]


class OfJobs(Asked, frozen=True):
    ids: Ids


class OfEntry(Asked, frozen=True):
    name: Name


class OfLock(Asked, frozen=True):
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{32}$", description="Of the lock.")]
    job_id: Annotated[str, Meta(description="The job that holds it.")]


class NewLimit(Asked, frozen=True):
    queue: QueueName
    concurrent: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    rate: Annotated[str, Meta(description="Such as 100/m, 5/s, 2/30s.")] | None = None
    burst: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    no_concurrent: Annotated[bool, Meta(description="Remove the cap.")] = False
    no_rate: Annotated[bool, Meta(description="Remove the rate.")] = False


def kill_running(body: OfJobs) -> Done:
    """Kill running jobs.

    Their processes answer within 3 seconds, mostly at once; the message says what became of the
    jobs. A job that does not run is left alone.
    """
    operator = by()

    def kill(part: Site) -> list[Killed]:
        targets, _ = targets_named(part.store, body.ids)
        return kill_all(part.store, targets, by=operator, wait_seconds=KILL_SECONDS)

    found = ask_parts(kill, None)
    killed = [each for some in found.values for each in some]
    if not killed:
        abort(404, f"none of these jobs runs{_but(found.missing)}")
    message = outcomes(each.answer for each in killed)
    if missing := len({*body.ids}) - len({each.job_id for each in killed}):
        message += f"; {counted(missing, 'job')} did not run{_but(found.missing)}"
    return Done(sum(each.is_over for each in killed), message)


def _but(missing: Mapping[str, str]) -> str:
    return f", as far as shards answer: {', '.join(missing)} did not" if missing else ""


def pause_queue(body: OfQueue) -> Done:
    """Pause a queue, in all workers."""
    return _on_all(body.queue, flow.pause, "paused", "it was paused already")


def unpause_queue(body: OfQueue) -> Done:
    """End the pause of a queue."""
    return _on_all(body.queue, flow.unpause, "goes on", "it was not paused")


def _on_all(queue: str, act: Callable[..., bool], changed: str, unchanged: str) -> Done:
    """Do it on every shard."""
    name, operator = flow.checked_queue(queue), by()
    found = ask_parts(lambda part: act(part.store, name, by=operator))
    if not found.by_shard:
        abort(503, "; ".join(found.missing.values()))
    has_changed = any(found.values)
    text = changed if has_changed else unchanged
    return Done(int(has_changed), f"{text}{without(found.missing)}")


def limit_queue(body: NewLimit) -> Done:
    """Set and remove the limits of a queue; those that are not named stay."""
    if body.burst is not None and body.rate is None:
        abort(422, "a burst belongs to a rate; give both")
    rate = None if body.rate is None else flow.Rate.parse(body.rate, body.burst)
    drop = (flow.CAP if body.no_concurrent else "") + (flow.RATE if body.no_rate else "")
    if body.concurrent is None and rate is None and not drop:
        abort(422, "give a limit to set or to remove")
    if (body.concurrent is not None and body.no_concurrent) or (rate and body.no_rate):
        abort(422, "a limit is both set and removed; do one of these")
    queue = flow.checked_queue(body.queue)
    change = flow.limit(site().store, queue, body.concurrent, rate, drop=drop, by=by())
    return Done(int(change.before != change.after), str(change.after))


def verify_limits(body: Nothing) -> Done:
    """Count the jobs in flight again, and correct wrong counts."""
    drifts = verify(site().store, by=by())
    return Done(len(drifts), f"{counted(len(drifts), 'count')} corrected")


def run_delayed(body: OfJobs) -> Done:
    """Put jobs that wait for their time, or to be tried again, into their queues now."""
    store = site().store
    return _changed(delayed.run_now(store, _waiting(body.ids), by=by()), body.ids)


def cancel_delayed(body: OfJobs) -> Done:
    """Remove such jobs for good."""
    store = site().store
    return _changed(delayed.cancel(store, _waiting(body.ids), by=by()), body.ids)


def _waiting(ids: list[str]) -> list[DelayedJob]:
    jobs = DelayedJobs(site().store)
    found = [job for job in map(jobs.find, ids) if job is not None]
    if not found:
        abort(404, "none of these jobs waits for its time")
    return found


def _changed(changed: list[delayed.Changed], ids: list[str]) -> Done:
    count = sum(each.done for each in changed)
    reasons = "; ".join(dict.fromkeys(each.reason for each in changed if each.reason))
    return Done(count, reasons or f"{count:,} of {counted(len(ids), 'job')}")


def run_entry(body: OfEntry) -> Done:
    """Enqueue the job of a schedule entry now."""
    job_id = schedules.run_now(site().store, body.name, by=by())
    if job_id.duplicate:
        return Done(0, f"job {job_id} of it has not ended")
    return Done(1, f"enqueued job {job_id}")


def skip_entry(body: OfEntry) -> Done:
    """Leave out the next time of a schedule entry."""
    skipped = schedules.skip(site().store, body.name, by=by())
    if skipped is None:
        return Done(0, "it has no next time")
    return Done(1, f"it does not run at {skipped.isoformat()}")


def pause_entry(body: OfEntry) -> Done:
    """Pause a schedule entry."""
    changed = schedules.pause(site().store, body.name, by=by())
    return Done(int(changed), "paused" if changed else "it was paused already")


def resume_entry(body: OfEntry) -> Done:
    """End the pause of a schedule entry; it counts from now on."""
    changed = schedules.resume(site().store, body.name, by=by())
    return Done(int(changed), "goes on" if changed else "it was not paused")


def release(body: OfLock) -> Done:
    """Release the lock of a unique job, if this job holds it."""
    if release_lock(site().store, body.digest, body.job_id, by=by()) is None:
        abort(409, "this job does not hold the lock")
    return Done(1, "released")
