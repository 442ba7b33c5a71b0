"""Calls that cannot work: type checkers find each line that is marked."""

from __future__ import annotations

import gresque
import gresque.aio


@gresque.job(queue="mail")
def send_email(user_id: int, template: str = "welcome") -> None: ...


class Archive(gresque.Job):
    queue = "file_serve"

    @staticmethod
    def perform(repo_id: int) -> None: ...


def undeclared(user_id: int) -> None: ...


client = gresque.Client()

send_email.enqueue("42")  # wrong
gresque.enqueue(send_email, 42, tmplate="bye")  # wrong
gresque.enqueue_to("low", send_email)  # wrong
gresque.enqueue_many(undeclared, [(42,)])  # wrong

gresque.enqueue(undeclared, 42)  # wrong
client.enqueue(send_email)  # wrong
client.enqueue_to("low", Archive, "42")  # wrong
gresque.enqueue(Archive, 1, 2)  # wrong
Archive.enqueue("42")  # wrong
Archive.enqueue_to("low")  # wrong
gresque.Client(redis="redis://localhost")  # wrong

send_email.enqueue_in(300, "42")  # wrong
send_email.enqueue_at("tomorrow", 42)  # wrong
send_email.options(in_=300).enqueue()  # wrong
send_email.options(delay=300)  # wrong
gresque.enqueue_in(300, send_email, "42")  # wrong
gresque.options(send_email, in_=300).enqueue("42")  # wrong
Archive.enqueue_at(300, "42")  # wrong
Archive.options(in_=300).enqueue("42")  # wrong


async def on_a_loop(loop_client: gresque.aio.Client) -> None:
    await send_email.aenqueue("42")  # wrong
    await send_email.options(in_=300).aenqueue()  # wrong
    await Archive.aenqueue("42")  # wrong
    await Archive.aenqueue_in(300, "42")  # wrong
    await loop_client.aenqueue(send_email, "42")  # wrong
    await loop_client.aenqueue_to("low", Archive, "42")  # wrong
    await loop_client.options(send_email, in_=300).aenqueue("42")  # wrong


gresque.limit("mail", rate=100)  # wrong
gresque.limit("mail", "100/m")  # wrong
gresque.pause()  # wrong


@send_email.after_perform  # wrong
def other(user_id: str) -> None: ...


@send_email.on_retry  # wrong
def another(error: Exception) -> None: ...


@gresque.perform_middleware  # wrong
def no_middleware(context: gresque.JobContext) -> None: ...


gresque.propagate("tenant")  # wrong
