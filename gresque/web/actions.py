"""What views of POST routes have in common."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import abort, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from gresque.control.audit import By
from gresque.web.signing_in import inner_path
from gresque.web.site import who


def by() -> By:
    """Who acts, for the log and the audit."""
    user = who()
    place = f"web {request.remote_addr}" if request.remote_addr else "web"
    return By(user.name if user else "web", place)


def done(text: str, *, kind: str = "ok", back: str = "") -> Response:
    """Show `text` on the page from which the form came, or `back`. `kind` is ok, late or bad."""
    if text:
        flash(text, kind)
    return redirect(inner_path(request.form.get("back", "")) or back or url_for("overview"), 303)


def json_field(text: str, name: str, kind: type, otherwise: str) -> Any:
    """A field of a form that holds JSON of this kind. `name` is what it is called in an error."""
    try:
        found = msgspec.json.decode(text.strip() or otherwise)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        abort(400, f"{name} are no JSON: {error}")
    if not isinstance(found, kind):
        abort(400, f"{name} are no JSON {'array' if kind is list else 'object'}")
    return found
