"""What views of POST routes have in common."""

from __future__ import annotations

from flask import flash, redirect, request, url_for
from werkzeug.wrappers import Response

from gresque.web.signing_in import inner_path
from gresque.web.site import who


def by() -> str:
    """Who acts, for the log and the audit."""
    user = who()
    return f"{user.name} (web)" if user else "web"


def done(text: str, *, kind: str = "ok", back: str = "") -> Response:
    """Show `text` on the page from which the form came, or `back`. `kind` is ok, late or bad."""
    flash(text, kind)
    return redirect(inner_path(request.form.get("back", "")) or back or url_for("overview"), 303)
