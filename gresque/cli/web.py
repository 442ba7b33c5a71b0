"""`gresque web`: the dashboard."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from gresque.cli.group import Group
from gresque.cli.options import load_settings, setting_options
from gresque.cli.output import complain
from gresque.errors import SettingsError
from gresque.web.settings import WEB_OPTIONS, WebSettings

if TYPE_CHECKING:
    from flask import Flask

SETTINGS = ("redis_url", "namespace", "failure_backend", "log_format")
LEAST_CHARS = 8


def _web_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for name, option in reversed(WEB_OPTIONS.items()):
        if option.flags:
            function = click.option(
                *option.flags, f"web_{name}",
                type=bool if option.is_flag else str, is_flag=option.is_flag, default=None,
                multiple=option.repeatable, help=f"{option.help}  [{option.env}]",
            )(function)  # fmt: skip
    return function


def _role_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        "--role", type=click.Choice(["read", "act", "admin"]), default="read", show_default=True,
        help=help_text,
    )  # fmt: skip


@click.group(name="web", cls=Group, invoke_without_command=True)
@_web_options
@setting_options(*SETTINGS)
@click.pass_context
def command(ctx: click.Context, /, flags: dict[str, Any], **given: Any) -> None:
    """Serve the dashboard: see what is wrong, and act on it, in a browser.

    Without users it serves this machine alone, and prints a link that lets one browser in. For
    others, give it users: WEB_USERS or --users-file, whose entries `gresque web hash` prints. It
    ends with SIGTERM or Ctrl-C. Everything about it is in docs/dashboard.md.

    \b
    Examples:
      gresque web
      gresque web --bind 127.0.0.1:8000 --redis redis://localhost:6379/0
      gresque web --bind 0.0.0.0:8000 --users-file users.txt --allow-host jobs.example.org
    """
    if ctx.invoked_subcommand is None:
        _serve(flags, {name.removeprefix("web_"): value for name, value in given.items()})


@command.command(name="hash")
@click.argument("name")
@_role_option("What the user may do.")
def hash_command(name: str, role: str) -> None:
    """Print the entry of a user, for WEB_USERS or a file of users. It asks for the password, or
    reads it from stdin.

    \b
    Examples:
      gresque web hash ana --role admin >>users.txt
    """
    from gresque.web.accounts import hash_password

    _check_name(name)
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if len(password) < LEAST_CHARS:
        raise SettingsError(f"the password is too short; give {LEAST_CHARS} characters or more")
    click.echo(f"{name}:{hash_password(password)}:{role}")


@command.command(name="token")
@click.argument("name")
@_role_option("What the program may do.")
def token_command(name: str, role: str) -> None:
    """Make a token with which a program calls the API (Authorization: Bearer). The entry for
    WEB_USERS or a file of users is printed; the token itself goes to stderr, once.

    \b
    Examples:
      gresque web token ci --role act >>users.txt
    """
    from gresque.web.accounts import hash_token

    _check_name(name)
    token = secrets.token_urlsafe(32)
    click.echo(f"{name}:{hash_token(token)}:{role}")
    complain(f"token: {token}")


def _check_name(name: str) -> None:
    if not name or not name.isprintable() or set(name) & set(":,# "):
        raise SettingsError(f"{name!r} is no name of a user: no colon, comma, blank or #")


def _serve(flags: dict[str, Any], web_flags: dict[str, Any]) -> None:
    settings = load_settings(flags)
    web = WebSettings.load(
        web_flags, os.environ, redis_url=settings.redis_url, redis_urls=settings.redis_urls,
        namespace=settings.namespace, shards=settings.shards,
        failure_backend=settings.failure_backend, filter_args=settings.filter_args,
        enqueue_wait_replicas=settings.enqueue_wait_replicas,
    )  # fmt: skip
    if not web.is_local and not web.user_lines():
        raise SettingsError(
            f"{web.bind} can be reached by others, so the dashboard needs users: set WEB_USERS or "
            "--users-file (see gresque web hash), or listen on 127.0.0.1"
        )
    from gresque.web import require_flask

    require_flask()
    # Before redis-py is imported, which builds on the standard library's sockets.
    from gevent import monkey

    monkey.patch_all()
    from gresque.logs import configure_logging
    from gresque.web.app import build_app
    from gresque.web.server import Server, in_thread

    configure_logging(settings.log_format, verbose=False, very_verbose=False)
    app = build_app(web, in_thread)
    host, _ = web.address
    server = Server(app, host, web.address[1])
    port = server.start()
    _print_link(app, host, port, web.prefix)
    server.serve()


def _print_link(app: Flask, host: str, port: int, prefix: str) -> None:
    """Where the dashboard is; with the link that lets one browser in, and the next one as soon as
    that is used."""
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}{prefix}"
    link = app.extensions["gresque"].link
    if link is None:
        click.echo(f"dashboard: {address}/")
        return

    def show(words: str) -> None:
        click.echo(f"{words}: {address}/in?token={link.token}")

    link.new()
    link.on_use = lambda: show("for another browser")
    show("open in a browser")
