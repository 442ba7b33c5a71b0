"""The writes of a retry: the job's queue item, and its entry marked as retried. Pure."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from gresque.errors import InvalidPayload
from gresque.failure.kept_item import out_of_entry
from gresque.failure.well_formed import well_formed
from gresque.jobs.attempts import begun_again, without, without_history
from gresque.jobs.ends import End, state_after
from gresque.jobs.ids import new_id
from gresque.jobs.locks import job_id_of
from gresque.jobs.payload import KWARGS, class_of
from gresque.jobs.unique import UNIQUE, mark_in
from gresque.store.failed import NO_LOCK, NO_STATE, RetriedLock, RetriedState

Fields = dict[str, msgspec.Raw]

# Values stay bytes: numbers, escapes and fields of other programs are written back to the letter.
_fields = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_NULL = msgspec.Raw(b"null")


class Retry(NamedTuple):
    """`item` goes to the end of `queue`, `marked` takes the place of the entry."""

    queue: str
    item: bytes
    marked: bytes
    lock: RetriedLock = NO_LOCK
    state: RetriedState = NO_STATE


def prepare_retry(raw: bytes, retried_at: str) -> Retry:
    """The retry of the failed job with this entry, written by any Resque.

    `retried_at` is Resque's `timestamp`. Raises InvalidPayload when the entry does not name a job
    and its queue.
    """
    try:
        entry = _fields(raw)
    except _UNREADABLE as error:
        readable = well_formed(raw)
        if readable == raw:
            raise InvalidPayload(f"the entry cannot be read: {error}") from None
        return prepare_retry(readable, retried_at)
    queue = _text(entry, "queue")
    if not queue:
        raise InvalidPayload("the entry names no queue")
    item = _item(entry)
    return Retry(
        queue,
        item,
        _encode(entry | {"retried_at": retried_at}),
        _lock_of(item),
        _state_of(queue, item),
    )


def prepare_edited(
    raw: bytes, retried_at: str, queue: str, job_class: str, args: list[Any], kwargs: dict[str, Any]
) -> Retry:
    """The retry of a failed job with another queue, class or arguments: a new job, with an id of
    its own and without a history, that is not unique. Raises InvalidPayload."""
    found = prepare_retry(raw, retried_at)
    if not queue:
        raise InvalidPayload("give the queue")
    if not job_class:
        raise InvalidPayload("give the class")
    try:
        fields = _fields(without_history(without(found.item, UNIQUE)))
    except _UNREADABLE as error:
        raise InvalidPayload(f"the job cannot be read: {error}") from None
    sent = [*args, {**kwargs, KWARGS: True}] if kwargs else args
    item = _encode(fields | {"class": job_class, "args": sent, "id": new_id()})
    return Retry(queue, item, found.marked, state=_state_of(queue, item))


def _lock_of(item: bytes) -> RetriedLock:
    """The lock that a unique job takes again, if it is free. One of mode `running` takes it when it
    starts."""
    mark = mark_in(item)
    if mark is None or mark.mode == "running":
        return NO_LOCK
    return RetriedLock(mark.digest, job_id_of(item), mark.mode, class_of(item) or "")


def _state_of(queue: str, item: bytes) -> RetriedState:
    """What is known of a tracked job then."""
    found = state_after(queue, item, End.RETRIED)
    return NO_STATE if found is None else RetriedState(*found)


def _item(entry: Fields) -> bytes:
    payload = bytes(entry.get("payload", _NULL))
    if payload == b"null":
        raise InvalidPayload("the entry has no payload")
    raw = out_of_entry(payload)
    return _renewed(payload) if raw is None else begun_again(raw)


def _renewed(payload: bytes) -> bytes:
    """One generation on, at its first attempt, and without an expiry or the deaths that were
    counted: who retries a job wants it to run. The errors of earlier attempts stay. Only the Ruby
    fork and gresque count generations; other payloads stay as they are."""
    payload = begun_again(payload)
    try:
        fields = _fields(payload)
    except _UNREADABLE:
        return payload
    changes: dict[str, Any] = {}
    with suppress(KeyError, *_UNREADABLE):
        changes["generation"] = msgspec.json.decode(fields["generation"], type=int) + 1
    if fields.pop("expires_at", None) is None and not changes:
        return payload
    return _encode(fields | changes)


def _text(entry: Fields, name: str) -> str | None:
    try:
        return msgspec.json.decode(entry[name], type=str)
    except (KeyError, *_UNREADABLE):
        return None
