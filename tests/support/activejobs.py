"""Payloads of ActiveJob, as Rails 6.1 was seen to write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gresque.jobs.activejob import WRAPPER

WIRE = Path(__file__).parents[1] / "wire"
CAPTURED: dict[str, Any] = json.loads((WIRE / "activejob_payloads.json").read_text())
ITEMS: list[bytes] = [raw.encode() for raw in CAPTURED["queue:rb"]]
"""`MailJob(1, "zwei", {"k": 1}, sym: :bol, kw: 2)`, `MailJob(1.5, nil, :sym, Time.at(0), 10**30)`.
"""
DELAYED: bytes = CAPTURED["delayed:2000000000"][0].encode()
SERIALIZERS = "ActiveJob::Serializers::"


def wrap(job_class: str, arguments: list[Any], **more: Any) -> bytes:
    """The payload of a job with these arguments, as ActiveJob writes them."""
    job = {
        "job_class": job_class, "job_id": "060124d5-f019-4e46-b723-d4942fcef28b",
        "provider_job_id": None, "queue_name": "rb", "priority": None, "arguments": arguments,
        "executions": 0, "exception_executions": {}, "locale": "en", "timezone": None,
        "enqueued_at": "2026-11-26T13:16:22Z",
    }  # fmt: skip
    return json.dumps({"class": WRAPPER, "args": [job | more]}).encode()


def serialized(name: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"_aj_serialized": f"{SERIALIZERS}{name}Serializer", "value": value, **more}
