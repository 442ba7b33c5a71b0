"""The section of `gresque supervisor-config`, read back by supervisord's own parser."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from supervisor.options import ServerOptions, UnhosedConfigParser

from gresque.cli.main import run
from gresque.cli.supervisord import Program, section
from gresque.errors import SettingsError

EXAMPLE = Path(__file__).parents[2] / "examples" / "supervisord.conf"


def program(**changes: Any) -> Program:
    plain: dict[str, Any] = {
        "name": "gresque", "command": ["/bin/gresque", "work"], "environment": {}, "burst": False,
        "directory": "/srv", "user": "", "logfile": "/tmp/x.log", "logfile_maxbytes": "1MB",
        "logfile_backups": 2, "startsecs": 1, "stopwaitsecs": 60,
    }  # fmt: skip
    return Program(**{**plain, **changes})


def read(text: str) -> Any:
    """The one program in it, as supervisord understands it."""
    parser = UnhosedConfigParser()
    parser.read_string(text)
    parser.expand_here("/etc/supervisor")
    options = ServerOptions()
    options.environ_expansions = {}
    (group,) = options.process_groups_from_parser(parser)
    (config,) = group.process_configs
    return config


def test_everything_in_it_means_what_it_says() -> None:
    config = read(
        section(program(name="web-1", directory="/srv/50%", environment={"A": "1", "B": "x y,z"}))
    )
    assert config.name == "web-1"
    assert shlex.split(config.command) == ["/bin/gresque", "work"]
    assert config.directory == "/srv/50%"
    assert config.environment == {"A": "1", "B": "x y,z"}
    assert config.stopsignal.name == "SIGQUIT"
    assert (config.stopwaitsecs, config.startsecs) == (60, 1)
    assert not config.stopasgroup
    assert not config.killasgroup
    assert config.redirect_stderr
    assert (config.stdout_logfile, config.stdout_logfile_maxbytes) == ("/tmp/x.log", 1024**2)
    assert config.stdout_logfile_backups == 2
    assert config.exitcodes == [2]
    assert read(section(program(burst=True))).exitcodes == [0, 2]


printable = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"])).filter(str.isprintable)
nasty = st.text("a %()s;#'\"\\,=$`!~here", max_size=12)


@hypothesis_settings(deadline=None)
@given(st.lists(printable | nasty, min_size=1))
def test_any_word_of_the_command_comes_through(words: list[str]) -> None:
    assert shlex.split(read(section(program(command=["x", *words, "y"]))).command)[1:-1] == words


@hypothesis_settings(deadline=None)
@given(printable | nasty)
def test_a_value_comes_through_or_is_refused(text: str) -> None:
    try:
        written = section(program(environment={"REDIS_URL": text, "OTHER": "1"}))
    except SettingsError as error:
        assert str(error).startswith("REDIS_URL: ")
        assert "'" in text or '"' in text or ";" in text or "#" in text or "%(here)s" in text
    else:
        assert read(written).environment == {"REDIS_URL": text, "OTHER": "1"}


@hypothesis_settings(deadline=None)
@given(nasty)
def test_a_directory_comes_through_or_is_refused(text: str) -> None:
    try:
        written = section(program(directory=f"/{text}"))
    except SettingsError as error:
        assert str(error).startswith("--directory: ")
    else:
        assert read(written).directory == f"/{text}"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "a:b"}, "--name: 'a:b'"),
        ({"name": ""}, "--name: ''"),
        ({"name": "a]\nb"}, "--name: "),
        ({"environment": {"A": "1\n2"}}, r"A: '1\n2' has characters"),
        ({"command": ["x\ny"]}, "the command: "),
        ({"logfile": "/var/log/%p.log"}, "--logfile: "),
        ({"logfile_maxbytes": "much"}, "--logfile-maxbytes: "),
        ({"stopwaitsecs": -1}, "--stopwaitsecs: "),
        ({"user": "a ;b"}, "--user: "),
    ],
)
def test_what_the_format_cannot_carry(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        section(program(**changes))
    assert told in str(caught.value)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    # supervisord wants the log's directory to exist; a second --logfile wins.
    code = run(["supervisor-config", "--logfile", "/tmp/x.log", *arguments])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    return str(out)


def test_the_example_is_what_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert EXAMPLE.read_text() == printed(
        capsys,
        *("-q", "web,low", "-r", "myjobs", "-w", "2", "-t", "500", "-j", "10000"),
        *("--redis", "redis://:secret@localhost:6379/0", "--user", "myapp"),
        *("--directory", "/srv/myapp", "--logfile", "/var/log/myapp/gresque.log"),
        *("--executable", "/srv/myapp/.venv/bin/gresque"),
    )


def test_flags_go_into_the_command_and_env_into_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUE", "mail-*,!mail-slow")
    monkeypatch.setenv("REDIS_URL", "redis://:p%40ss@h/1")
    monkeypatch.setenv("RESQUE_PROCLINE_PREFIX", "app ")
    monkeypatch.setattr(sys, "argv", ["/x/__main__.py"])
    config = read(
        printed(
            capsys,
            *("-r", "a", "-r", "b.c", "--no-preload", "--graceful-term", "-vv", "--burst"),
            *("--namespace", "it's"),
        )
    )
    assert shlex.split(config.command) == [
        sys.executable, "-m", "gresque", "work", "-r", "a", "-r", "b.c", "--interval", "0",
        "--namespace", "it's", "--graceful-term", "--no-preload", "--very-verbose",
    ]  # fmt: skip
    assert config.environment == {
        "QUEUE": "mail-*,!mail-slow",
        "REDIS_URL": "redis://:p%40ss@h/1",
        "RESQUE_PROCLINE_PREFIX": "app ",
    }
    assert config.directory == str(Path.cwd())
    assert config.exitcodes == [0, 2]


def test_a_url_given_as_a_flag_is_not_seen_in_ps(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "-q", "q", "-r", "m", "--redis", "redis://:secret@h/1")
    config = read(text)
    assert "secret" not in config.command
    assert config.environment == {"REDIS_URL": "redis://:secret@h/1"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-q", "q", "-r", "m", "--daemon"], "gresque: --daemon: supervisord looks after"),
        (["-r", "m"], "gresque: no queues are named"),
        (["-q", "q"], "gresque: no module declares jobs"),
        (["-q", "q", "-r", "m", "-w", "0"], "gresque: --workers: "),
        (["-q", "q", "-r", "m", "--stopwaitsecs", "x"], "gresque: Invalid value"),
    ],
)
def test_what_would_not_work_is_refused(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["supervisor-config", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(told)
    assert err.count("\n") == 1
