"""`gresque supervisor-config`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from gresque.cli.options import load_settings, setting_options
from gresque.cli.supervisord import Program, section
from gresque.errors import SettingsError
from gresque.settings import DEFAULT_REDIS_URL, OPTIONS, Settings
from gresque.text import from_os


@click.command(name="supervisor-config")
@click.option("--burst", is_flag=True, help="Exit when the queues are empty: --interval 0.")
@click.option("--name", default="gresque", help="Of the program.  [default gresque]")
@click.option("--user", default="", help="The user that runs it.  [default: that of supervisord]")
@click.option("--directory", default="", help="Where the job modules are.  [default: here]")
@click.option("--logfile", default="", help="[default /var/log/supervisor/NAME.log]")
@click.option("--logfile-maxbytes", default="50MB", help="Rotate above this.  [default 50MB]")
@click.option("--logfile-backups", default=5, help="Rotated logs to keep.  [default 5]")
@click.option("--stopwaitsecs", default=300, help="Above your longest job.  [default 300]")
@click.option("--startsecs", default=5, help="Seconds; longer than a start takes.  [default 5]")
@click.option("--executable", default="", help="The gresque to run.  [default: this one]")
@setting_options()
def command(flags: dict[str, Any], burst: bool, **program: Any) -> int:
    """Print a program section for supervisord that runs `gresque work` with these flags.

    Flags go into the command; what comes from ENV, and the Redis URL, which may have a password,
    goes into environment=. Keep the file from eyes that must not see that.

    \b
    Examples:
      gresque supervisor-config -q web,low -r myjobs -w 2 -t 500 -j 10000 \\
          --user myapp --directory /srv/myapp > /etc/supervisor/conf.d/gresque.conf
      supervisorctl update
    """
    if burst:
        flags["interval"] = "0"
    settings = load_settings(flags)
    _check(settings)
    executable = program.pop("executable")
    program["directory"] = str(Path(program["directory"] or ".").absolute())
    program["logfile"] = program["logfile"] or f"/var/log/supervisor/{program['name']}.log"
    command = [executable] if executable else _this_gresque()
    text = section(
        Program(
            command=[*command, "work", *_arguments(flags)],
            environment=_environment(settings),
            burst=settings.burst,
            **program,
        )
    )
    # supervisord reads UTF-8 in every locale.
    click.echo(text.encode("utf-8", "surrogateescape"), nl=False)
    return 0


def _check(settings: Settings) -> None:
    if settings.queues is None:
        raise SettingsError("no queues are named, which gresque work needs: give -q or QUEUES")
    if not settings.require:
        raise SettingsError("no module declares jobs: name one with -r, or in REQUIRE")
    if settings.background:
        raise SettingsError(
            f"{settings.sources['background']}: supervisord looks after programs in the "
            "foreground; leave it out"
        )


def _this_gresque() -> list[str]:
    """The command by its absolute path, or this interpreter with -m."""
    script = Path(sys.argv[0]).absolute()
    if script.name == "gresque" and os.access(script, os.X_OK):
        return [str(script)]
    return [sys.executable, "-m", "gresque"]


def _arguments(flags: dict[str, Any]) -> list[str]:
    """The flags as they were given, but for the Redis URL."""
    arguments: list[str] = []
    for name, value in flags.items():
        option = OPTIONS[name]
        if value in (None, ()) or name == "redis_url":
            continue
        if option.is_flag:
            on, _, off = option.flags[-1].partition("/")
            arguments.append(on if value else off)
            continue
        for text in value if option.repeatable else (value,):
            arguments += (option.flags[0], text)
    return arguments


def _environment(settings: Settings) -> dict[str, str]:
    """The settings that came from ENV, under the names that they came from, and the Redis URL."""
    environment = {
        source: from_os(os.environ[source])
        for name, source in settings.sources.items()
        if source in OPTIONS[name].envs
    }
    if settings.redis_urls:
        environment["REDIS_URLS"] = " ".join(settings.redis_urls)
    elif settings.redis_url != DEFAULT_REDIS_URL:
        environment["REDIS_URL"] = settings.redis_url
    return environment
