"""The jobs by themselves, and in a real worker."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from shop import outbox
from shop.jobs import ask_for_review, confirm, place_order

import gresque
from gresque.testing import FakeJobs, TestServer, WorkerRun, perform


def test_a_confirmation_names_the_items() -> None:
    perform(confirm, "ada@example.com", 7, ["book", "lamp"])
    assert outbox.sent == [outbox.Mail("ada@example.com", "order 7: book, lamp")]


def test_a_mail_server_that_is_busy_is_tried_again(
    gresque_fake: FakeJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Exception | None] = [ConnectionError("busy"), None]

    def send(to: str, text: str) -> None:
        if answer := answers.pop(0):
            raise answer

    monkeypatch.setattr(outbox, "send", send)
    confirm.enqueue("ada@example.com", 7, [])
    assert gresque_fake.drain() == 2
    assert gresque_fake.performed[0].attempt == 2


def test_one_question_for_each_order(gresque_fake: FakeJobs) -> None:
    first = ask_for_review.enqueue("ada@example.com", 7)
    again = ask_for_review.enqueue("ada@example.com", 7)
    assert first == again
    gresque_fake.only(ask_for_review)


def test_a_worker_sends_the_mails(
    gresque_redis: TestServer, gresque_worker: Callable[..., WorkerRun]
) -> None:
    place_order("ada@example.com", 7, ["book"])
    run = gresque_worker(queues="mail,web")
    assert "mail to ada@example.com: order 7: book" in run.output
    gresque_redis.assert_enqueued(ask_for_review, "ada@example.com", 7)
    assert gresque.info()["failed"] == 0
