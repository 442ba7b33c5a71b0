"""Jobs that programs in Ruby, Node and PHP enqueue, and that note their arguments."""

from __future__ import annotations

import json
import os
from typing import Any

import gresque
from gresque.contrib import activejob
from tests.process.job_store import store


def note(*seen: Any) -> None:
    store().rpush("seen", json.dumps(seen, default=str))


@gresque.job(queue="py", name="NeighbourEcho")
def echo(*args: Any, **kwargs: Any) -> None:
    note("echo", args, kwargs)


@gresque.job(queue="py", name="NeighbourRuby", ruby_keywords=True)
def ruby(customer: str, amount: int = 0) -> None:
    note("ruby", customer, amount)


@activejob.job("MailJob")
def mail(*args: Any, **kwargs: Any) -> None:
    current = activejob.current()
    note("mail", args, kwargs, current and current.queue_name)


@activejob.job("FailingJob", retries=1, backoff=0)
def failing() -> None:
    current = activejob.current()
    note("failing", current and current.executions)
    raise ValueError("as told")


@gresque.job(queue="py", name="NeighbourEnds", timeout_seconds=0.2)
def ends(how: str, amount: int = 0) -> None:
    if how == "raises":
        raise ValueError(how)
    if how == "dies":
        os._exit(3)
    while how == "spins":
        pass
