"""`gresque top`: the dashboard of a terminal, over `inspector` and `control`.

A frame is drawn by `frame.py` as lines of spans, from a `Screenful` alone: the same for a terminal,
for `--once` and for tests. `app.py` shows it with Textual and reads keys; `views/` has the six
tables; `feed.py` asks the collector and reads what the rows on the screen need, in threads;
`acts.py` calls `control/`. It is pure asyncio, without gevent.
"""

from __future__ import annotations

from gresque.errors import SettingsError


def require_textual() -> None:
    """Raises SettingsError that says how to install what it needs."""
    try:
        import textual  # noqa: F401
    except ModuleNotFoundError:
        raise SettingsError("gresque top needs Textual: pip install 'gresque[top]'") from None
