"""The demo's job, as anybody would write it: plain blocking code, one file per job."""

from __future__ import annotations

import json
from functools import cache
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter

import gresque
from gresque.client.default import default_client
from gresque.demo.counting import Counts, count
from gresque.store.keys import Keys

QUEUE = "demo"
FETCH_TIMEOUT_SECONDS = 30.0
CONNECTIONS = 1000


@gresque.job(queue=QUEUE, name="demo.CountFile")
def count_file(server_url: str, name: str) -> None:
    """Fetch a file, count what is in it, and store that under its name.

    It may run twice, as any job may: the second run stores the same again.
    """
    response = _session().get(server_url + quote(name), timeout=FETCH_TIMEOUT_SECONDS)
    response.raise_for_status()
    store = default_client().store
    store.redis.hset(results_key(store.keys), name, json.dumps(count(response.content)))


@cache
def _session() -> requests.Session:
    """One for all jobs of the process, made by the first of them: a connection serves many jobs,
    and none is made in the master, whose children would share it."""
    session = requests.Session()
    session.trust_env = False  # neither a proxy nor .netrc has a say in a request to this machine
    session.mount("http://", HTTPAdapter(pool_maxsize=CONNECTIONS))
    return session


def results_key(keys: Keys) -> str:
    """HASH: name of a file -> its Counts as JSON. The demo's own, gone when it ends."""
    return f"{keys.prefix}demo:results"


def parse_results(stored: dict[bytes, bytes]) -> dict[str, Counts]:
    """The counts that the jobs have stored, by the names of the files."""
    return {name.decode(): Counts(*json.loads(counts)) for name, counts in stored.items()}
