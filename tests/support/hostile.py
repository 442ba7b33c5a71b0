"""Texts that try to be more than texts, put wherever a job or another program may put one."""

from __future__ import annotations

import json
import time
from html.parser import HTMLParser

import redis

from gresque.clock import iso_8601
from gresque.failure.entry import encode_entry

MARK = "x55"
"""In each of them: an element or attribute with it was made of data."""
PAYLOADS = (
    f"<script>{MARK}()</script>",
    f"</script><script>{MARK}()</script>",
    f"<img src={MARK} onerror={MARK}()>",
    f"'onmouseover='{MARK}()",
    f'"onmouseover="{MARK}()',
    f'" autofocus onfocus={MARK}() x="',
    f"</title><svg/onload={MARK}()>",
    f"</textarea><{MARK}>",
    f"<!--{MARK}--><{MARK}>",
    f"--><{MARK}>",
    f"]]><{MARK}>",
    f"<a href=javascript:{MARK}()>{MARK}</a>",
    f"javascript:{MARK}()",
    f"{{{{ {MARK} }}}}{{% include '{MARK}' %}}",
    f"&lt;{MARK}&gt;&#60;{MARK}&#62;",
    f"\u202e<{MARK}>\u2066\u200b",
    f"nul\x00<{MARK}>\x1b[2J\r\n\t{MARK}",
    f"<{MARK} style=position:fixed>",
    f"`${{{MARK}()}}`<{MARK}/x=`",
    f"'><{MARK} data-part=live>" + "<" * 50,
)
SURROGATE = "\ud800"
"""JSON may carry one; so does a name with a byte that is no UTF-8, as `\\xff` here."""


def plant(client: redis.Redis, text: str) -> str:
    """Put this text into each place; returns the id of a failed job."""
    raw_text = text.encode()
    queue, worker = f"q{text}", f"h{text}:10:{text.replace(':', '~')}:2:4:100"
    process = f"{worker}:11:1795485960660"
    now = int(client.time()[0])
    args = [text, text + SURROGATE, {text: text, "_kwargs": True}]
    item = json.dumps({"class": text, "args": args, "id": text, "generation": 1})
    known = json.dumps({"class": text, "args": args, "id": "0" * 31 + "1"})
    client.sadd("resque:queues", queue, raw_text + b"\xff")
    client.rpush(f"resque:queue:{queue}", item, known, raw_text + b"\xff")
    client.hset("resque:policies", queue, f"p c1 {text.replace(' ', '')}")
    client.sadd("resque:workers", worker)
    client.hset("resque:workers:heartbeat", worker, iso_8601(now - 5))
    client.zadd("resque:ledgers", {process: (now - 5) * 1000})
    ledger = f"resque:ledger:{process}"
    key = f"resque:queue:{queue}"
    client.hset(ledger, "state", "1 0 0 0 0 0")
    for slot, payload in (("0", known), ("1", item)):
        client.hset(ledger, slot, f"{len(key.encode())}:{key}{payload}")
    client.set(f"resque:running:{process}", json.dumps({"since": {"0": now - 90, "1": now - 80}}))
    failed = encode_entry(
        item.encode(), f"E{text}", f"m{text}", [f"a.py:1:in `{text}'", text], worker, queue
    )
    client.rpush("resque:failed", failed, raw_text)
    entry = f"{len(key.encode())}:{key}{item}"
    client.zadd("resque:later", {f"m{text}": (now + 60) * 1000})
    client.hset("resque:later:jobs", f"m{text}", entry)
    client.zadd("resque:delayed_queue_schedule", {str(now + 90): now + 90})
    client.rpush(f"resque:delayed:{now + 90}", item)
    client.hset("resque:cron", text, json.dumps({"name": text, "job": text, "queue": text}))
    lock = {"id": text, "mode": text, "class": text, "key": text, "queue": text, "since": "1000"}
    client.hset("resque:unique:" + "0" * 32, mapping=lock)
    client.xadd("resque:audit", dict.fromkeys(("by", "from", "verb", "target", "outcome"), text))
    client.xadd("resque:marks", {"kind": "mark", "text": text, "by": text})
    minute = int(time.time()) // 60
    client.hset(f"resque:metrics:minute:{minute}", mapping={f"f|{text}|{text}": 5, "f": 5})
    client.lpush("resque:recoveries", json.dumps(
        {"at": text, "process": process, "cause": text, "by": text, "requeued": 1, "failed": 0,
         "poison": 0}
    ))  # fmt: skip
    return "0" * 31 + "1"


class Made(HTMLParser):
    """What a page has that data has made: elements, attributes, scripts, addresses that run."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.elements = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements += 1
        if MARK in tag or (tag == "script" and "src" not in dict(attrs)) or tag == "style":
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            text = (value or "").strip().lower()
            if MARK in name or name.startswith("on") or name == "style":
                self.found.append(f"<{tag} {name}>")
            if name in ("href", "src", "action", "formaction") and text.startswith("javascript"):
                self.found.append(f"<{tag} {name}={value}>")

    def handle_comment(self, data: str) -> None:
        if MARK in data:
            self.found.append("<!-- -->")
