"""The writes of a retry: the item of the queue, and the mark of the entry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gresque.errors import InvalidPayload
from gresque.failure.entry import encode_entry
from gresque.failure.retry import prepare_edited, prepare_retry
from gresque.jobs import payload
from gresque.jobs.attempts import failed_attempt, snoozed
from gresque.jobs.crash_history import add_death
from gresque.store.failed import NO_LOCK

NOW = "2026/11/23 15:33:36"
WIRE = Path(__file__).parents[1] / "wire"
FORK = (WIRE / "fork_failed_entry.json").read_bytes().strip()
FORK_RETRIED = (WIRE / "fork_failed_entry_retried.json").read_bytes().strip()
FORK_ITEM_RETRIED = (WIRE / "fork_queue_item_retried.json").read_bytes().strip()
STOCK = (WIRE / "stock_failed_entry.json").read_bytes().strip()
GARBAGE = [b"garbage \xff", b"", b"[1]", b"{}", b'{"payload":{"class":"A"}}', b"[" * 100_000]


class TestPrepareRetry:
    """Pure: what is pushed, and what the entry becomes."""

    def test_as_the_ruby_fork_does_it(self) -> None:
        retry = prepare_retry(FORK, NOW)
        assert retry.queue == "bench"
        assert retry.marked == FORK_RETRIED
        assert retry.item == FORK_ITEM_RETRIED

    def test_a_payload_without_generation_is_pushed_unchanged(self) -> None:
        assert prepare_retry(STOCK, NOW).item == b'{"class":"Boom","args":["x"]}'

    @pytest.mark.parametrize(
        "payload",
        [
            b'{"class":"A","args":[1.0e+20,12345678901234567890123, {"a" :1}]}',
            b'{"class":"A","x":{"y" : "\\u00e9"}}',
            b'{"class":"A","generation":"1"}',
            b'{"class":"A","generation":true}',
            b'{"class":"A","generation":null}',
            b'"text"',
            b"[1, 2]",
            b"7",
        ],
    )
    def test_it_stays_to_the_letter(self, payload: bytes) -> None:
        raw = b'{"odd" : [1.50],"payload":' + payload + b',"queue":"q"}'
        retry = prepare_retry(raw, NOW)
        assert retry.item == payload
        assert b'"odd":[1.50]' in retry.marked
        assert payload in retry.marked

    def test_only_the_generation_changes(self) -> None:
        raw = b'{"payload":{"args":[1.0e+20],"generation":41,"x":"\\u00e9"},"queue":"q"}'
        assert prepare_retry(raw, NOW).item == (b'{"args":[1.0e+20],"generation":42,"x":"\\u00e9"}')

    def test_attempts_are_counted_from_the_first_again(self) -> None:
        """The errors of earlier ones stay."""
        raw = payload.encode("A", (), None, "id1", envelope={"retries": 5})
        for message in ("one", "two"):
            raw = failed_attempt(raw, "E", message, 1.8e9, 16) or b""
        raw = snoozed(raw, 1.8e9, 5) or b""
        item = json.loads(prepare_retry(encode_entry(raw, "E", "x", [], "w", "q"), NOW).item)
        assert item["generation"] == 2
        assert item["gresque"].keys() == {"retries", "errors"}
        assert [each["message"] for each in item["gresque"]["errors"]] == ["one", "two"]

    @pytest.mark.parametrize("item", [b"not json", b"not utf-8 \xff", b"[]", b"", b'{"a":1'])
    def test_an_item_that_was_no_job_goes_back_as_it_was(self, item: bytes) -> None:
        raw = encode_entry(item, "InvalidPayload", "bad", [], "w", "q")
        assert prepare_retry(raw, NOW).item == item

    def test_the_deaths_of_a_job_that_json_does_not_allow_are_taken_away(self) -> None:
        item = b'{"class":"A","prefix":"\xff"}'
        raw = encode_entry(add_death(item, "a death"), "PoisonJob", "bad", [], "w", "q")
        assert prepare_retry(raw, NOW).item == item

    def test_a_second_retry_replaces_the_mark(self) -> None:
        again = prepare_retry(FORK_RETRIED, "2027/01/01 00:00:00")
        assert again.marked == FORK_RETRIED.replace(NOW.encode(), b"2027/01/01 00:00:00")

    @pytest.mark.parametrize(
        "raw",
        [
            *GARBAGE,
            b'{"payload":null,"queue":"q"}',
            b'{"payload":{},"queue":""}',
            b'{"payload":{},"queue":7}',
            b'{"payload":{"class":"gresque.InvalidPayload","args":["?","base64"]},"queue":"q"}',
        ],
    )
    def test_what_tells_no_job_is_refused(self, raw: bytes) -> None:
        with pytest.raises(InvalidPayload):
            prepare_retry(raw, NOW)


class TestEdited:
    def test_it_is_a_new_job_without_a_history_and_a_lock(self) -> None:
        envelope = {"retries": 5, "unique": ["ab" * 16, "waiting"]}
        raw = payload.encode("A", (1,), {"x": 2}, "id1", envelope=envelope)
        raw = failed_attempt(raw, "E", "one", 1.8e9, 16) or b""
        found = encode_entry(raw, "E", "x", [], "w", "q")
        edited = prepare_edited(found, NOW, "low", "B", [3], {"y": 4})
        item = json.loads(edited.item)
        assert item.pop("id") not in ("", "id1")
        assert item == {
            "class": "B", "args": [3, {"y": 4, "_kwargs": True}], "generation": 2,
            "gresque": {"retries": 5},
        }  # fmt: skip
        assert (edited.queue, edited.lock) == ("low", NO_LOCK)
        assert edited.marked == prepare_retry(found, NOW).marked

    @pytest.mark.parametrize(("queue", "name"), [("", "A"), ("q", "")])
    def test_what_is_missing(self, queue: str, name: str) -> None:
        found = encode_entry(b'{"class":"A","args":[]}', "E", "x", [], "w", "q")
        with pytest.raises(InvalidPayload, match="give the"):
            prepare_edited(found, NOW, queue, name, [], {})
        with pytest.raises(InvalidPayload):
            prepare_edited(b"?", NOW, "q", "A", [], {})
