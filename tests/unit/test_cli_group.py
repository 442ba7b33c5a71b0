"""What is said of a command, an argument or an option that is wrong."""

from __future__ import annotations

import pytest

from gresque.cli.main import run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("kil", "no command 'kil'; did you mean kill? gresque --help lists them"),
        ("xyz", "no command 'xyz'; gresque --help lists them"),
        ("running grops", "no command 'grops'; gresque running has groups, list"),
        ("queues peek", "Missing argument 'QUEUE'; see gresque queues peek --help"),
        ("status --json --nope", "No such option '--nope'; see gresque status --help"),
        (
            "--redis x status",
            "No such option '--redis'; the options of a command stand behind its name; see "
            "gresque --help",
        ),
        (
            "status --watchh",
            "No such option '--watchh'. Did you mean '--watch'? See gresque status --help",
        ),
    ],
)
def test_one_line_says_what_to_do(
    capsys: pytest.CaptureFixture[str], arguments: str, said: str
) -> None:
    assert run(arguments.split()) == 2
    assert capsys.readouterr().err == f"gresque: {said}\n"
