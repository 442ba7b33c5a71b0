"""What every request must pass and every answer carries: host, origin, who it is, headers."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from flask import Response, abort, g, request, session

from gresque.web.accounts import Role
from gresque.web.api.endpoint import is_of_api
from gresque.web.site import Site, Who, site

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
BEARER = "Bearer "
MISDIRECTED = 421


def protect(response: Response) -> Response:
    """Add the headers. What a view has set, such as the time a file may be cached, stays."""
    for name, text in HEADERS.items():
        response.headers[name] = text
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def check_request(role: str | None) -> None:
    """Abort with 421, 403 or 401 where this request may not reach a route of this role."""
    here = site()
    if not is_known_host(request.host, here):
        abort(MISDIRECTED)
    g.who = _identify(here)
    if role is not None and g.who is None and is_of_api():
        abort(401)  # a program learns that its token is missing, not that it is no page
    if request.method not in SAFE_METHODS and not g.get("by_token"):
        check_origin()
    if role is None:
        return
    if g.who is None:
        abort(401)
    if g.who.role < Role.named(role) or (role != "read" and here.settings.read_only):
        abort(403)


def is_known_host(host: str, here: Site) -> bool:
    """A page of another name that resolves to this address (DNS rebinding) is refused. Numbers are
    allowed: no name can be made to be one."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    known = {"localhost", here.settings.address[0].lower(), *here.settings.hosts}
    if name in known or name == socket.gethostname().lower():
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def check_origin() -> None:
    """A request that changes something comes from a page of this very origin."""
    fetch_site = request.headers.get("Sec-Fetch-Site")
    if fetch_site is not None:
        if fetch_site != "same-origin":
            abort(403, "the request came from another site")
        return
    origin = request.headers.get("Origin")
    if origin is None or urlsplit(origin).netloc != request.host:
        abort(403, "the request does not say that it came from this site")


def _identify(here: Site) -> Who | None:
    """By a token of the API, else by the cookie. A request with a token has no use for a cookie,
    and so none of another site's doing."""
    given = request.headers.get("Authorization", "")
    if given:
        g.by_token = True
        account = here.accounts.by_token(given[len(BEARER) :].strip())
        is_known = given.startswith(BEARER) and account is not None
        return Who(account.name, account.role) if is_known and account else None
    if here.link is not None:
        return here.local_user if session.get("link") else None
    name = session.get("name")
    account = here.accounts.get(name) if isinstance(name, str) else None
    if account is None or session.get("mark") != account.mark:
        return None
    return Who(account.name, account.role)
