"""JSON of JavaScript programs, whose texts may be cut within a character. Pure."""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    rb"""\\(?:
        u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
        | (u[dD][89a-fA-F][0-9a-fA-F]{2})
        | .
    )""",
    re.DOTALL | re.VERBOSE,
)


def well_formed(raw: bytes) -> bytes:
    """A JSON text with U+FFFD in the place of each half of a character, as JavaScript's
    `toWellFormed` has it: such a text can be read, and every other byte stays."""
    if b"\\u" not in raw:
        return raw
    return _ESCAPE.sub(lambda found: b"\\ufffd" if found[1] else found[0], raw)
