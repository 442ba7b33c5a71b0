"""Keys that Redis refuses to use as gresque needs them: another program keeps something of another
type there, or a right is missing. Each is named once in the log; everything else goes on."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from gresque.logs import fields
from gresque.store.keys import Keys
from gresque.text import printable

log = logging.getLogger("gresque.store")

NAMED_AT_MOST = 1000
"""Keys remembered as named; after that they are named again."""

_named: set[str] = set()


def is_wrong_type(error: object) -> bool:
    """Whether this is the server's error about a key that holds another type."""
    return "WRONGTYPE" in str(error)


def is_missing_right(error: object) -> bool:
    """Whether an ACL rule forbids it. Within scripts servers say so without NOPERM."""
    return re.search(r"NOPERM|no permission|can't run this command", str(error)) is not None


def name_refused(keys: Keys, refused: Iterable[tuple[str, str]], consequence: str) -> None:
    """Log each of these keys, with its error, once in the life of the process. `consequence` is
    the effect on gresque, for the message."""
    for key, error in refused:
        message = explain_refused(keys, key, error)
        if message not in _named:
            if len(_named) >= NAMED_AT_MOST:
                _named.clear()
            _named.add(message)
            named = fields("key_refused", key=key, error=error)
            log.error("%s; until then %s", message, consequence, extra=named)


def explain_refused(keys: Keys, key: str, error: str) -> str:
    """One sentence: the fault of the key, and the remedy."""
    name = printable(key)
    if is_wrong_type(error):
        return explain_wrong_type(keys, key)
    if is_missing_right(error):
        return f"{name} is refused ({error}): grant this user the right, see docs/acl.md"
    if keys.kind(key) == "a number":
        return f"{name} cannot be counted up ({error}): set it to a number, or delete it"
    return f"{name} is refused ({error}): repair or delete that key"


def explain_wrong_type(keys: Keys, key: str) -> str:
    """The same for a key that holds another type."""
    kind = keys.kind(key)
    return f"{printable(key)} is not {kind}, as gresque needs it: rename or delete that key"


def pairs(flat: list[bytes]) -> list[tuple[str, str]]:
    """A script's `{key, its error, key, …}`."""
    texts = [each.decode("utf-8", "surrogateescape") for each in flat]
    return list(zip(texts[::2], texts[1::2], strict=True))
