"""The looks of tones: in full colour, in the 16 colours of a terminal, and without any."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from rich.style import Style

FULL: Mapping[str, str] = {
    "": "#e9e7e1", "dim": "#949ba2", "soft": "#b0b5ba", "accent": "#63c3d1", "done": "#56b4d9",
    "fail": "#ff8f63", "warn": "#e6b450", "still": "#b9a8ea", "bold": "bold", "strike": "strike",
    "ground": "on #14171a", "raised": "on #1a1e22", "cursor": "on #25424a",
}  # fmt: skip
"""As in the dark colours of the dashboard."""

SIXTEEN: Mapping[str, str] = {
    "": "default", "dim": "bright_black", "soft": "default", "accent": "cyan", "done": "blue",
    "fail": "red", "warn": "yellow", "still": "magenta", "bold": "bold", "strike": "strike",
    "ground": "on default", "raised": "on default", "cursor": "reverse",
}  # fmt: skip

NONE: Mapping[str, str] = {
    "": "default", "dim": "dim", "soft": "default", "accent": "bold", "done": "default",
    "fail": "bold", "warn": "bold", "still": "default", "bold": "bold", "strike": "strike",
    "ground": "on default", "raised": "on default", "cursor": "reverse",
}  # fmt: skip

PALETTES = {"full": FULL, "sixteen": SIXTEEN, "none": NONE}


@cache
def style(palette: str, tone: str, ground: str) -> Style:
    """The look of a tone on a ground, in one of PALETTES. A ground is empty, `raised` or
    `cursor`."""
    words = PALETTES[palette]
    parts = [words[""], *(words[each] for each in tone.split()), words[ground or "ground"]]
    # Of two colours the last one counts.
    colours = [part for part in parts if part not in ("bold", "dim", "strike", "reverse")]
    found = Style()
    for part in colours:
        found += Style.parse(part)
    for part in parts:
        if part not in colours:
            found += Style.parse(part)
    return found
