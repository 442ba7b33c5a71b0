"""A program with gresque as its users write it: type checkers find nothing wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import gresque
import gresque.aio


@gresque.job(queue="mail", timeout_seconds=30)
def send_email(user_id: int, template: str = "welcome", *, urgent: bool = False) -> str:
    job = gresque.current_job()
    if job is not None:
        job.log.info("to %s", user_id)
    with gresque.uninterruptible():
        return f"{template} for {user_id}"


class Archive(gresque.Job):
    queue = "file_serve"

    @staticmethod
    def perform(repo_id: int, branch: str = "master") -> None: ...

    @staticmethod
    def before_perform_log(repo_id: int, branch: str = "master") -> None: ...


class Plain(gresque.Job):
    """In Resque's own shape: its arguments are not checked."""

    queue = "plain"

    def perform(repo_id, branch="master"):  # type: ignore
        return branch


class Logged(gresque.Job):
    """A mixin of hooks."""

    @staticmethod
    def after_perform_log(*args: Any) -> None: ...


class Report(Logged):
    queue = "reports"

    @staticmethod
    def perform(day: str) -> None: ...


def users() -> Iterator[tuple[int, str]]:
    yield 1, "bye"


text: str = send_email(42)
job_id: gresque.JobId | None = send_email.enqueue(42, "bye", urgent=True)
send_email.enqueue_to("low", user_id=42)
gresque.enqueue(send_email, 42, template="bye")
gresque.enqueue_to("low", send_email, 42)
ids: list[gresque.JobId] = gresque.enqueue_many(send_email, users())
gresque.enqueue_many(Archive, [{"repo_id": 1}, (2,), [3]], queue="low")
gresque.dequeue(send_email, 42)

Archive.enqueue(42)
Archive.enqueue(42, branch="main")
Archive.enqueue_to("low", 42, "main")
gresque.enqueue(Archive, 42, branch="main")
gresque.enqueue_to("low", Archive, repo_id=42)
Report.enqueue("2026-11-26")

send_email.enqueue_in(300, 42, template="bye")
send_email.enqueue_at(datetime.now(UTC), 42)
send_email.options(in_=timedelta(minutes=5), queue="low").enqueue(42, "bye")
gresque.enqueue_in(300, send_email, 42)
gresque.enqueue_at(1796115600, Archive, 42, branch="main")
gresque.options(send_email, in_=300).enqueue(42)
gresque.options("Ruby::Job", queue="ruby", in_=300).enqueue(1, two=2)


@gresque.job(queue="sync", unique="both", unique_key=lambda site, **_: site, on_duplicate="again")
def sync(site: int, *, full: bool = False) -> None: ...


sync.enqueue_unique(7, full=True)
sync.enqueue_debounce(7)
Archive.enqueue_unique(42, branch="main")
sync.options(debounce=10, max_wait=timedelta(minutes=5)).enqueue(7)
gresque.options(sync, throttle=60, trailing=True).enqueue_many([(7,)])
was_there: bool = job_id is not None and job_id.duplicate
Archive.enqueue_in(timedelta(1), 42, "main")
Archive.enqueue_at(1796115600.5, repo_id=42)
Archive.options(in_=300).enqueue(42)
if gresque.cancel(str(job_id)) or gresque.reschedule(ids[0], in_=5) or gresque.run_now(ids[0]):
    due: list[datetime] = [each.due for each in gresque.delayed(0, 9)]

Plain.enqueue_in(5, 42)
Plain.options(in_=5).enqueue(42, branch="main")
Plain.enqueue(42, branch="main")
gresque.enqueue(Plain, 42)
gresque.enqueue_to("low", Plain, 42, "main")
gresque.enqueue_to("ruby", "Ruby::Job", 1, two=2)
gresque.enqueue_many("Ruby::Job", [(1,)], queue="ruby")


def any_of_them(kind: type[gresque.Job], function: gresque.JobFunction[..., Any]) -> None:
    gresque.enqueue(kind, 1)
    kind.enqueue(1)
    gresque.enqueue(function, 1)
    function.enqueue(1)


async def on_a_loop() -> None:
    first: gresque.JobId | None = await send_email.aenqueue(42, "bye", urgent=True)
    await send_email.aenqueue_to("low", user_id=42)
    await send_email.aenqueue_in(300, 42, template="bye")
    await send_email.aenqueue_at(datetime.now(UTC), 42)
    await send_email.options(in_=300).aenqueue(42)
    await send_email.options(in_=300).aenqueue_many(users())
    await sync.aenqueue_unique(7, full=True)
    await Archive.aenqueue(42, branch="main")
    await Archive.aenqueue_in(timedelta(1), 42, "main")
    await Plain.aenqueue_to("low", 42, branch="main")
    async with gresque.aio.Client("redis://localhost:6379/1", retry_seconds=5) as loop_client:
        await loop_client.aenqueue(send_email, 42, template="bye")
        await loop_client.aenqueue_to("low", Archive, 42)
        await loop_client.aenqueue_to("ruby", "Ruby::Job", 1, two=2)
        await loop_client.options(send_email, in_=300, track=60).aenqueue(42)
        if (await loop_client.astatus("id", search=True)).is_over:
            print(await loop_client.aresult("id", timeout=5), await loop_client.await_(["id"], 5))
        many: list[gresque.JobId] = await loop_client.aenqueue_many(send_email, users(), spread=60)
        gone: bool = first is not None and await loop_client.acancel(many[0])
        assert gone or await loop_client.adequeue(send_email, 42)
    await gresque.aio.default_client().asize("mail")


held: bool = gresque.pause("mail") or gresque.unpause("mail") or gresque.pause_all()
gresque.limit("mail", concurrent=20, rate="100/m", burst=10)
gresque.limit("mail", concurrent=None)
caps: list[int | None] = [each.concurrent for each in gresque.limits()]
client = gresque.Client("redis://localhost:6379/1", inline=True)
if client.enqueue(send_email, 42) is not None:
    client.enqueue_to("low", Archive, 42)
assert gresque.enqueued_at(ids[0]) or job_id is None


@send_email.before_perform
def check(user_id: int, template: str = "welcome", *, urgent: bool = False) -> None: ...


@send_email.around_perform
def time(perform: Any, user_id: int, template: str = "welcome", *, urgent: bool = False) -> Any:
    return perform()


@send_email.on_failure
def report(error: Exception, *args: Any, **options: Any) -> None: ...


check(42, urgent=True)


@gresque.enqueue_middleware
def add_tenant(message: gresque.Message, call_next: Callable[[], gresque.JobId | None]) -> Any:
    message.meta["tenant"] = 7
    return call_next()


@gresque.perform_middleware(first=True)
def in_tenant(context: gresque.JobContext, call_next: Callable[[], Any]) -> Any:
    assert context.meta["tenant"]
    return call_next()


gresque.propagate(ContextVar("tenant", default=7))
