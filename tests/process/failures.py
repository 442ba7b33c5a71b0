"""Failure backends of the process tests, good and bad, and jobs that expire or fail once."""

from __future__ import annotations

import time

import gresque
from tests.process.job_store import store


class Noted(gresque.FailureBackend):
    """Notes what it is told in the list "told"."""

    def save(self, failure: gresque.Failure) -> None:
        store().rpush(
            "told", f"{failure.exception_name}: {failure.error}: {failure.payload['args']}"
        )


class Raises(gresque.FailureBackend):
    def save(self, failure: gresque.Failure) -> None:
        store().incr("raised")
        raise RuntimeError("the backend is broken")


class Hangs(gresque.FailureBackend):
    def save(self, failure: gresque.Failure) -> None:
        store().incr("hanging")
        while True:
            try:
                time.sleep(60)
            except BaseException:
                continue


class CannotBeMade(gresque.FailureBackend):
    def __init__(self) -> None:
        raise ValueError("no DSN")

    def save(self, failure: gresque.Failure) -> None: ...


class NoBackend:
    pass


@gresque.job(queue="q", name="Fleeting", expires_seconds=600, on_expire="drop")
def fleeting(key: str) -> None:
    store().hincrby("runs", key, 1)


@gresque.job(queue="q", name="FailOnce")
def fail_once(key: int) -> None:
    if store().hincrby("runs", str(key), 1) == 1:
        raise ValueError("the first time")
