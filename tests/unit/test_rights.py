"""The rights that docs/acl.md tells are those that the scripts and the code need."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gresque.store.rights import (
    OPERATING_METHODS,
    PACKAGE,
    PARTS,
    READING_METHODS,
    WORKER_METHODS,
    Role,
    commands,
    of_script,
    roles,
    rules,
)  # fmt: skip
from gresque.store.store import Store

DOC = (Path(__file__).parents[2] / "docs" / "acl.md").read_text()
ROLES = {role.name: role for role in roles()}

each_role = pytest.mark.parametrize("role", ROLES.values(), ids=ROLES)


def called_methods(folder: str) -> Iterator[str]:
    """Methods of the Store that the modules of a folder call: `store.queues.x()`, `store.now()`."""
    for path in (PACKAGE / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                *owner, method = ast.unparse(node.func).split(".")
                if owner[-1] in ("store", "_store"):
                    yield f"server.{method}"
                elif owner[-1] in PARTS and owner[-2:-1] in (["store"], ["_store"]):
                    yield f"{owner[-1]}.{method}"


@each_role
def test_the_page_has_what_is_needed(role: Role) -> None:
    """Else run: python -m gresque.store.rights"""
    assert rules(role) in DOC.splitlines()


def test_a_worker_calls_no_other_methods() -> None:
    folders = ("worker", "master", "maintenance")
    called = {method for folder in folders for method in called_methods(folder)} - {"server.close"}
    assert called <= {*WORKER_METHODS}
    assert "recovery.move" in called


HELPERS = {
    "server.call", "server.read", "server.ask", "server.numbers", "server.number",
    "server.run_script", "server.pipeline_script", "server.reply", "server.read_by_script",
    "server.close", "enqueuer.close",
}  # fmt: skip
"""They send what their callers say."""


def test_every_method_is_some_users(store: Store) -> None:
    public = {
        f"{part}.{name}"
        for part in PARTS
        for name, value in vars(type(getattr(store, part))).items()
        if callable(value) and not name.startswith("_")
    }
    assert {part: type(getattr(store, part)).__name__ for part in PARTS} == PARTS
    assert public - HELPERS == {*WORKER_METHODS, *READING_METHODS, *OPERATING_METHODS}


def test_commands_are_found_in_scripts() -> None:
    found = of_script("enqueue")
    assert {"EVAL", "EVALSHA", "HINCRBY", "EXPIRE", "SADD", "RPUSH"} <= found
    assert {"LPOP", "LPUSH", "RPUSH", "INCRBY"} <= of_script("cycle"), "in its includes, too"
    assert "WRONGTYPE" not in of_script("cycle") | of_script("beat") | of_script("recover")


@each_role
def test_a_server_takes_the_rules_and_grants_nothing_else(
    role: Role, redis_client: redis.Redis
) -> None:
    user = f"gresque-{role.name}"
    try:
        redis_client.execute_command(*rules(role).split())
        granted = redis_client.acl_getuser(user)
        assert set(granted["commands"]) - {"-@all"} == {f"+{name}" for name in commands(role)}
        assert granted["keys"] == list(role.keys)
        assert granted["channels"] == []
        for command in ("FLUSHALL", "KEYS *", "SCRIPT FLUSH", "CLIENT LIST", "PUBLISH x y"):
            told = redis_client.execute_command("ACL", "DRYRUN", user, *command.split())
            assert b"no permissions" in told
        told = redis_client.execute_command("ACL", "DRYRUN", user, "HGET", "other:ledger:x", "y")
        assert b"no permissions" in told
    finally:
        redis_client.execute_command("ACL", "DELUSER", user)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("reader", "RPUSH resque:queue:q x"),
        ("reader", "SET resque:failed_sweep x"),
        ("producer", "LPOP resque:queue:q"),
        ("producer", "RPUSH resque:failed x"),
        ("producer", "DEL resque:queue:q"),
        ("worker", "LREM resque2:queue:q 0 x"),
    ],
)
def test_what_a_user_must_not_do(name: str, command: str, redis_client: redis.Redis) -> None:
    user = f"gresque-{name}"
    try:
        redis_client.execute_command(*rules(ROLES[name]).split())
        told = redis_client.execute_command("ACL", "DRYRUN", user, *command.split())
        assert b"no permissions" in told
    finally:
        redis_client.execute_command("ACL", "DELUSER", user)


def test_glob_characters_of_a_namespace_stand_for_themselves() -> None:
    assert roles("a*[b]")[2].keys == (r"%R~a\*\[b\]:*",)
