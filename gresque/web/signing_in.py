"""Coming in and going out: the one-time link, the form for users, sign out."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Response, abort, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as BaseResponse

from gresque.web.api.endpoint import is_of_api
from gresque.web.site import site

TOO_MANY = 429


def come_in() -> BaseResponse:
    """Take the token of the one-time link for a cookie."""
    here = site()
    if here.link is None:
        return redirect(url_for("sign_in"), 303)
    _take_a_try()
    if not here.link.use(request.args.get("token", "")):
        abort(401)
    session.clear()
    session["link"] = True
    session.permanent = True
    return redirect(url_for("overview"), 303)


def sign_in_page() -> str:
    return _form()


def sign_in() -> BaseResponse | tuple[str, int]:
    here = site()
    if not here.accounts.has_passwords:
        abort(404)
    _take_a_try()
    name, password = request.form.get("name", ""), request.form.get("password", "")
    account = here.accounts.check(name, password, here.slowly)
    if account is None:
        return _form(name, "The name or the password is wrong."), 401
    session.clear()
    session["name"], session["mark"] = account.name, account.mark
    session.permanent = True
    return redirect(inner_path(request.form.get("next", "")) or url_for("overview"), 303)


def sign_out() -> BaseResponse:
    session.clear()
    return redirect(url_for("sign_in" if site().link is None else "overview"), 303)


def refuse_unknown() -> BaseResponse | Response | tuple[str, int] | None:
    """What a request gets that is not signed in: the form where a page was asked for by a browser
    and there is a form; None where the plain error has to do."""
    is_page = request.method == "GET" and "live" not in request.args
    is_page = is_page and not is_of_api()
    if is_page and site().accounts.has_passwords and not request.headers.get("Authorization"):
        query = request.query_string.decode("latin-1")
        path = f"{request.script_root}{request.path}{'?' if query else ''}{query}"
        return redirect(url_for("sign_in", next=path), 303)
    return None


def inner_path(path: str) -> str:
    """`path` where it leads to a page of this site, else nothing."""
    parts = urlsplit(path)
    inside = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if inside and not parts.scheme and not parts.netloc else ""


def _form(name: str = "", problem: str = "") -> str:
    if not site().accounts.has_passwords:
        abort(404)
    after = inner_path(request.values.get("next", ""))
    return render_template("sign_in.html", name=name, problem=problem, after=after)


def _take_a_try() -> None:
    if not site().tries.take(request.remote_addr or ""):
        abort(TOO_MANY)
