"""The stylesheet, the script and the fonts. Each address has the content's hash as `?v=…`, so a
browser may keep a file for a year and has the new one at once."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from flask import Response, abort, request, url_for
from werkzeug.wrappers import Response as BaseResponse

YEAR = "public, max-age=31536000, immutable"
DAY = "public, max-age=86400"
HERE = Path(__file__).with_name("static")
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".ttf": "font/ttf"}  # fmt: skip

OWN = ("gresque.css", "gresque.js")
FONTS = {
    "plex-sans.ttf": ("fontpkg_ibm_plex_sans", "IBMPlexSans[wdth,wght].ttf"),
    "plex-mono-400.ttf": ("fontpkg_ibm_plex_mono", "IBMPlexMono-Regular.ttf"),
    "plex-mono-500.ttf": ("fontpkg_ibm_plex_mono", "IBMPlexMono-Medium.ttf"),
}
"""Of packages that `gresque[web]` brings; without them the page has the system's fonts."""


class StaticFile(NamedTuple):
    content: bytes
    version: str
    type: str


@cache
def find(name: str) -> StaticFile | None:
    path = HERE / name if name in OWN else _font(name)
    if path is None:
        return None
    content = path.read_bytes()
    if path.suffix == ".css":
        content = _without_missing_fonts(content)
    return StaticFile(content, hashlib.sha256(content).hexdigest()[:12], TYPES[path.suffix])


def _font(name: str) -> Path | None:
    if name not in FONTS:
        return None
    package, file = FONTS[name]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).with_name("files") / file
    return path if path.is_file() else None


def _without_missing_fonts(style: bytes) -> bytes:
    """A browser would ask for them on each page."""
    missing = [name.encode() for name in FONTS if find(name) is None]
    lines = style.splitlines(keepends=True)
    return b"".join(
        line
        for line in lines
        if not (line.startswith(b"@font-face") and any(name in line for name in missing))
    )


def static_file(name: str) -> BaseResponse:
    found = find(name)
    if found is None:
        abort(404)
    response = Response(found.content, content_type=found.type)
    response.headers["Cache-Control"] = YEAR if request.args.get("v") == found.version else DAY
    response.set_etag(found.version)
    return response.make_conditional(request)


def address(name: str) -> str:
    """The address of a file, for templates."""
    found = find(name)
    return url_for("static_file", name=name, v=found.version if found else None)
