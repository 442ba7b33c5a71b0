"""Attributes of a job class that look like an option and are none: they would be ignored. Pure."""

from __future__ import annotations

from collections.abc import Collection

from gresque.errors import JobDeclarationError

CLOSE = 0.8
ELSEWHERE = {
    "expires": "expires_seconds",
    "max_retries": "retries",
    "retry_limit": "retries",
    "time_limit": "timeout_seconds",
    "timeout": "timeout_seconds",
}
"""What other systems call an option."""
VISIBLE = {"name", "queue"}
"""A job without its queue says so by itself, and words such as `names` may mean something else."""


def refuse_misspelt(cls: type, options: Collection[str]) -> None:
    """Raise JobDeclarationError for the first such attribute of the class itself."""
    for attribute, value in vars(cls).items():
        if attribute in options or attribute.startswith("_") or _is_code(value):
            continue
        meant = _meant(attribute, options)
        if meant is not None:
            raise JobDeclarationError(
                f"job class {cls.__qualname__}: {attribute} is not an option; did you mean "
                f"{meant}? An attribute of your own needs another name, such as my_{attribute}"
            )


def _is_code(value: object) -> bool:
    return callable(value) or isinstance(value, classmethod | staticmethod | property)


def _meant(attribute: str, options: Collection[str]) -> str | None:
    if attribute in ELSEWHERE:
        return ELSEWHERE[attribute]
    from difflib import get_close_matches  # 2 ms, for few programs

    near = get_close_matches(attribute, [each for each in options if each not in VISIBLE], 1, CLOSE)
    return near[0] if near else None
