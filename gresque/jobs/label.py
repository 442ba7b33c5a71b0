"""A job in a few words. Pure."""

from __future__ import annotations

import json
from typing import Any

MOST_CHARS = 60


def job_label(item: dict[str, Any], most_chars: int = MOST_CHARS) -> str:
    """A payload, as `payload.loads` returns it, in the form of a call: `jobs.fetch("a", b=3)`."""
    if "class" not in item:
        return _cut(str(item.get("raw", "an item that is no job")), most_chars)
    args, kwargs = item.get("args"), item.get("kwargs")
    shown = [_json(each) for each in args] if isinstance(args, list) else []
    if isinstance(kwargs, dict):
        shown += [f"{name}={_json(value)}" for name, value in kwargs.items()]
    return _cut(f"{item['class']}({', '.join(shown)})", most_chars)


def _json(value: Any) -> str:
    """A text is cut before it is encoded: an argument may have megabytes."""
    if isinstance(value, str):
        value = value[: MOST_CHARS + 1]
    return json.dumps(value, ensure_ascii=False)


def _cut(text: str, most_chars: int) -> str:
    return text if len(text) <= most_chars else text[: most_chars - 1] + "…"
