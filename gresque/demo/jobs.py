"""The demo's jobs, as anybody would write them: plain blocking code."""

from __future__ import annotations

import hashlib
from functools import cache

import urllib3

import gresque

QUEUE = "demo"
FIRST_QUEUE = "demo-first"
"""Its jobs do not wait behind those of the other one."""

FETCH_TIMEOUT_SECONDS = 30.0
CONNECTIONS = 1000


@gresque.job(queue=QUEUE, name="demo.Fetch")
def fetch(url: str, sha256: str) -> None:
    """Fetch a file and check what came. It may run twice, as any job may."""
    response = _http().request("GET", url, timeout=FETCH_TIMEOUT_SECONDS)
    if response.status != 200:
        raise ValueError(f"{url}: status {response.status}")
    if hashlib.sha256(response.data).hexdigest() != sha256:
        raise ValueError(f"{url}: what came is not the file")


@gresque.job(queue=FIRST_QUEUE, name="demo.Hog")
def hog() -> None:
    """What goes wrong one day: it never waits, so no other job of its process runs."""
    while True:
        pass


@cache
def _http() -> urllib3.PoolManager:
    """One for all jobs of the process, made by the first of them: a connection serves many jobs,
    and none is made in the master, whose children would share it."""
    return urllib3.PoolManager(maxsize=CONNECTIONS)
