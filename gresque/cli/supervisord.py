"""A program section of supervisord's configuration, quoted as supervisord reads it.

Its file is an INI file with `;` and `#` comments, also at the end of a line; then `%(name)s` is
filled in; then the command is split as by a shell, and environment= by quotes alone, which know
no backslash.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gresque.errors import SettingsError

_COMMENT = re.compile(r"\s[;#]")
"""Where a line ends for supervisord, quoted or not."""

_TEMPLATE = """\
; A program section for supervisord. It holds REDIS_URL, which may have a password.
;
;   supervisorctl start {name}      works
;   supervisorctl stop {name}       QUIT: no new jobs, and the running ones finish
;   supervisorctl restart {name}    a deploy: the same, then the new code

[program:{name}]
command={command}
directory={directory}
{lines}autostart=true
; {restarts}
autorestart=unexpected
exitcodes={exitcodes}
; One that ends sooner than this never started; after some more tries it is left alone.
startsecs={startsecs}
; QUIT lets the running jobs finish. stopwaitsecs must be above your longest job: after it
; supervisord sends SIGKILL to the master, whose worker processes then still finish and leave.
stopsignal=QUIT
stopwaitsecs={stopwaitsecs}
; The master passes signals on itself; sent to the whole group they would come twice, and a
; SIGKILL to the group would cut the jobs off.
stopasgroup=false
killasgroup=false
redirect_stderr=true
stdout_logfile={logfile}
stdout_logfile_maxbytes={logfile_maxbytes}
stdout_logfile_backups={logfile_backups}
"""

_RESTARTS = {
    False: "It starts again after any end but exit 2, a wrong setting.",
    True: "It ends when the queues are empty (exit 0), and for a wrong setting (2).",
}


@dataclass(frozen=True, kw_only=True)
class Program:
    """The program that supervisord is to run, and how."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    burst: bool
    directory: str
    user: str
    logfile: str
    logfile_maxbytes: str
    logfile_backups: int
    startsecs: int
    stopwaitsecs: int


def section(program: Program) -> str:
    """The section's text. Raises SettingsError for a value that its format cannot hold."""
    if not re.fullmatch(r"[\w.+-]+", program.name):
        raise SettingsError(f"--name: {program.name!r} has more than letters, digits and . _ + -")
    if not re.fullmatch(r"\d+(KB|MB|GB)?", program.logfile_maxbytes, re.IGNORECASE):
        raise SettingsError(
            f"--logfile-maxbytes: {program.logfile_maxbytes!r} is no size; give one such as 50MB"
        )
    for flag in ("startsecs", "stopwaitsecs", "logfile_backups"):
        if getattr(program, flag) < 0:
            raise SettingsError(f"--{flag.replace('_', '-')}: give 0 or more")
    lines = ""
    if program.environment:
        pairs = (f"{name}={_in_quotes(name, text)}" for name, text in program.environment.items())
        lines += f"environment={','.join(pairs)}\n"
    if program.user:
        lines += f"user={_plain('--user', program.user)}\n"
    return _TEMPLATE.format(
        name=program.name,
        command=" ".join(map(_word, program.command)),
        directory=_plain("--directory", program.directory),
        lines=lines,
        restarts=_RESTARTS[program.burst],
        exitcodes="0,2" if program.burst else "2",
        startsecs=program.startsecs,
        stopwaitsecs=program.stopwaitsecs,
        logfile=_without_percent("--logfile", program.logfile),
        logfile_maxbytes=program.logfile_maxbytes,
        logfile_backups=program.logfile_backups,
    )


def _word(text: str) -> str:
    """One word of the command."""
    quoted = shlex.quote(_printable("the command", text)).replace("%", "%%")
    # A quoted text may be split between any two characters: '' changes nothing.
    quoted = re.sub(r"(\s)([;#])", r"\1''\2", quoted)
    return quoted.replace("%%(", "%%''(")


def _in_quotes(name: str, text: str) -> str:
    """A value of environment=; supervisord strips quotes of any kind from its ends."""
    if text.strip("'\"") == text and not _COMMENT.search(text):
        for quote in ('"', "'"):
            if quote not in text:
                return f"{quote}{_expandable(name, text)}{quote}"
    raise SettingsError(
        f"{name}: supervisord's environment= cannot carry both kinds of quotes, a quote at an end, "
        "nor ; or # after a space; give it as a flag, or write them percent-encoded in a URL"
    )


def _plain(flag: str, text: str) -> str:
    """A value without quotes."""
    if text.strip() != text or _COMMENT.search(text):
        raise SettingsError(f"{flag}: supervisord cannot carry {text!r}; choose a simpler one")
    return _expandable(flag, text)


def _without_percent(flag: str, text: str) -> str:
    """supervisord fills in the name of a log file once or twice, as its version will have it."""
    if "%" in text:
        raise SettingsError(f"{flag}: supervisord cannot carry a % here; choose a simpler one")
    return _plain(flag, text)


def _expandable(name: str, text: str) -> str:
    if "%(here)s" in text:  # filled in before %% is looked at
        raise SettingsError(f"{name}: supervisord cannot carry %(here)s")
    return _printable(name, text).replace("%", "%%")


def _printable(name: str, text: str) -> str:
    if not text.isprintable():
        raise SettingsError(f"{name}: {text!r} has characters that supervisord cannot carry")
    return text
