"""Users, their hashes, and how often one may try."""

from __future__ import annotations

from pathlib import Path

import pytest

from gresque.cli.main import run
from gresque.errors import SettingsError
from gresque.web.accounts import Account, Accounts, Role, Tries, hash_password, hash_token
from gresque.web.settings import WebSettings
from tests.support.cli import Call

HASH = hash_password("correct horse")


def test_a_password() -> None:
    accounts = Accounts([f"ana:{HASH}:act", f"ci:{hash_token('t')}:read"])
    account = accounts.check("ana", "correct horse")
    assert account is not None
    assert account.role is Role.ACT
    assert HASH not in repr(account)
    assert accounts.check("ana", "Correct horse") is None
    assert accounts.check("bob", "correct horse") is None
    assert accounts.check("ci", "t") is None, "a token is no password"
    assert accounts.by_token("t") == accounts.get("ci")
    assert accounts.by_token(HASH) is None
    assert hash_password("correct horse") != HASH, "salted"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ana", "is not given as name:hash:role"),
        ("ana:HASH", "is not given as name:hash:role"),
        (":HASH:read", "is not given as name:hash:role"),
        ("ana:secret:read", "is no hash"),
        ("ana:scrypt$99$8$1$AAAA$AAAA:read", "is no hash"),
        ("ana:sha256$00:read", "is no hash"),
        ("ana:HASH:root", "is no role"),
    ],
)
def test_a_wrong_line(line: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as raised:
        Account.parse(line.replace("HASH", HASH))
    assert "secret" not in str(raised.value)


def test_two_of_one_name() -> None:
    with pytest.raises(SettingsError, match="twice"):
        Accounts([f"ana:{HASH}:act"] * 2)


def test_tries() -> None:
    now = [0.0]
    tries = Tries(lambda: now[0])
    assert [tries.take("a") for _ in range(6)] == [True] * 5 + [False]
    assert tries.take("b")
    now[0] = 60.0
    assert tries.take("a")


def test_users_of_env_and_file(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"# people\n\neve:{HASH}:read  # until May\n")
    given = {"WEB_USERS": f"ana:{HASH}:read, bob:{HASH}:act"}
    settings = WebSettings.load({"users_file": str(tmp_path / "users")}, given)
    assert [line.split(":")[0] for line in settings.user_lines()] == ["ana", "bob", "eve"]
    assert Accounts(settings.user_lines())
    assert HASH not in repr(settings)


def test_hash_and_token(call: Call) -> None:
    answer = call("web", "hash", "ana", "--role", "act", stdin=b"correct horse\n")
    assert Accounts([answer.out.strip()]).check("ana", "correct horse")
    answer = call("web", "token", "ci")
    token = answer.err.removeprefix("token: ").strip()
    assert Accounts([answer.out.strip()]).by_token(token) is not None
    assert call("web", "hash", "a:b", stdin=b"correct horse\n").code == 2
    assert call("web", "hash", "ana", stdin=b"short\n").code == 2


def test_an_open_address_needs_users(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["web", "--bind", "0.0.0.0:5678"]) == 2
    assert capsys.readouterr().err == (
        "gresque: 0.0.0.0:5678 can be reached by others, so the dashboard needs users: set "
        "WEB_USERS or --users-file (see gresque web hash), or listen on 127.0.0.1\n"
    )
