"""The dashboard: pages over `inspector` and `control`, as a WSGI application (Flask).

    from gresque.web import WebSettings, create_app
    application = create_app(WebSettings(redis_url="redis://…", users="ana:scrypt$…:admin"))

`gresque web` serves it with gevent; a Django or Flask program mounts it under a prefix, which it
passes as SCRIPT_NAME as every WSGI mount does. How the parts fit together:

- `routes.py` has the one table: method, path, name, view, role. The app registers from it; tests
  and the description of the API are made from it. There are no routes elsewhere.
- `pages/<page>.py` has the views of a page. A view reads (`site().collector`, `inspector/`) and
  ends in `show("<page>", number=…, …)` of `pages/show.py`. That renders `templates/<page>.html`,
  or, when the script asks with `?live=<number>`, only its parts, or 204 when the number is the one
  that the page has.
- `templates/<page>.html` extends `shell.html`. Its `live` block includes
  `templates/live/<page>.html`: what changes by itself. Elements with `data-part="<name>"` are what
  the script replaces, row by row where these have a `data-key`.
- `actions.py` has the views of POST routes. They call `control/` and nothing else, and end in
  `done(…)`: a redirect to the page that the form names (`back`), with what became of it as a
  notice. Tables of buttons of one kind of thing may have a module of their own beside it.
- A name in an address is `<name:queue>` in the route and `url_for(…, queue=name)` in a template.
- Keys: `data-hot="K"` on a button or link of a row, or of the page; a capital acts. `data-row` on
  the rows that j and k go through, `data-select` on a box of a row, `data-bar` on what appears
  while boxes are ticked, `data-freeze` on a tbody whose order then stays.
- Values from Redis pass `| value` (cut; control characters as escapes) in a template, numbers and
  times the filters of `gresque/formats.py`. Charts come from `charts.py`. No inline style or
  script anywhere.
- A page works without scripts. `a[data-stay]` and `form[data-stay]` are followed in place where
  there are scripts, `a[data-dialog]` opens the page's `data-part="dialog"` in a dialog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gresque.errors import SettingsError
from gresque.web.settings import WebSettings

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["WebSettings", "create_app", "require_flask"]


def create_app(settings: WebSettings | None = None) -> Flask:
    """The dashboard as a WSGI application. Raises SettingsError where Flask is not installed."""
    require_flask()
    from gresque.web.app import build_app

    return build_app(settings or WebSettings())


def require_flask() -> Any:
    """Raises SettingsError that says how to install what the dashboard needs."""
    try:
        import flask
    except ModuleNotFoundError:
        raise SettingsError("the dashboard needs Flask: pip install 'gresque[web]'") from None
    return flask
