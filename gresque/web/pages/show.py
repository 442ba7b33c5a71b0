"""How a view ends: a whole page, the parts of it that changed, or nothing new."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, request


def show(page: str, *, number: int | str, every: int = 5, **values: Any) -> Response:
    """Render `templates/<page>.html`. `number` is that of the data: a script that has it gets 204.
    `every` is after how many seconds the script asks again; 0: never. The other `values` go to the
    template."""
    live = request.args.get("live")
    if live is not None and live == str(number):
        return Response(status=204)
    layout = "shell.html" if live is None else "parts.html"
    return html(f"{page}.html", layout=layout, number=number, every=every, **values)


def html(template: str, **values: Any) -> Response:
    """A name may have bytes that are not UTF-8; one that passed no filter must not break a page."""
    text = render_template(template, **values)
    return Response(text.encode("utf-8", "backslashreplace"), mimetype="text/html")
