"""Imports point downwards only; ENV and Redis keys have one place each."""

from __future__ import annotations

import ast
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "gresque"
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the bottom. Those of one rank do not import each other, unless one is named in BESIDE.
RANKS = {
    "errors": 0, "version": 0, "unpatched": 0, "queue_list": 0, "text": 0, "raised": 0, "forked": 0,
    "stdio": 0, "outlet": 0, "backoff": 0, "clock": 0, "seconds": 0, "formats": 0,
    "connection": 1, "logs": 1, "shards": 2, "setting_values": 2, "settings": 2, "store": 3,
    "jobs": 4, "schedule": 4, "client": 5, "failure": 5, "aio": 6, "api": 6, "contrib": 6,
    "processes": 6, "inspector": 7, "control": 7, "worker": 8, "web": 8, "top": 8, "testing": 8,
    "maintenance": 9, "master": 10, "cli": 11, "__init__": 12, "__main__": 12,
}  # fmt: skip
BESIDE = {
    ("control", "inspector"),
    ("connection", "logs"),
    ("queue_list", "errors"),
    ("errors", "seconds"),
    ("queue_list", "text"),
    ("forked", "stdio"),
    ("settings", "shards"),
    ("settings", "setting_values"),
    ("setting_values", "shards"),
    ("stdio", "outlet"),
    ("stdio", "unpatched"),
    ("outlet", "unpatched"),
    ("schedule", "jobs"),
}
EXTRA = {
    "api": {"client", "failure", "jobs", "errors"},
    "__init__": {"api", "version"},
    "__main__": {"cli"},
    # A program of its own, which starts workers and watches them: `connection` only for where the
    # server is, and `store` for its numbers.
    "demo": {
        "client",
        "connection",
        "control",
        "errors",
        "failure",
        "inspector",
        "settings",
        "store",
        "text",
        "__init__",
    },
}
ALLOWED_UP = {("cli", "demo"), ("client", "aio")}
"""`client` loads `aio` at the first `aenqueue` of a declared job."""

LOGS = {
    f"log.{level}"
    for level in ("debug", "info", "warning", "error", "exception", "critical", "log")
}
RESERVED_FIELDS = {"message", "asctime", "time", "level", "logger", "pid", "worker", "stack"}

PASS_IT_ON = ["connection/embedded.py", "demo/processes.py", "testing/server.py"]
"""They give the environment to a program that they start, and read nothing from it."""
OF_TESTS = "testing/modes.py"
"""It looks whether this program is a test."""

PACKAGES = {
    "redis": {"redis", "hiredis"},
    "gevent": {"gevent", "greenlet"},
    "gevent, but for greenlets": {"gevent"},
}
NOWHERE = {
    "redis": {"processes", "schedule"},
    "gevent": {
        "processes", "store", "jobs", "schedule", "client", "failure", "inspector", "control",
        "top", "testing",
    },
    "gevent, but for greenlets": {"aio"},
}  # fmt: skip
"""Layers that import it nowhere, not even within a function. A web program that enqueues, or looks
at jobs, has no hub; `processes` is part of each child before it is patched."""

UNPATCHED = [
    "cli", "master", "settings.py", "setting_values.py", "shards.py", "client", "stdio.py",
    "outlet.py",
    "worker/boot.py", "maintenance/judge.py", "connection/topology.py", "connection/urls.py",
    "connection/search.py", "connection/sentinels.py", "connection/one_slot.py",
    "connection/own_path.py", "store/ledger.py", "store/keys.py", "store/cron_snapshot.py",
    "failure/reporters.py",
    "failure/progress.py",
]  # fmt: skip
"""What the unpatched master imports, and what must stay cheap: no redis-py, no gevent on top."""


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def each_module(check: Callable[[Path], None]) -> Callable[[], None]:
    """One test for all modules: 200 of each would take longer to report than to run."""

    def test() -> None:
        wrong = []
        for path in MODULES:
            try:
                check(path)
            except AssertionError as error:
                wrong.append(f"{name_of(path)}: {error}")
        assert not wrong, "\n".join(wrong)

    test.__doc__ = check.__doc__
    return test


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(parse(path)))


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(tree: ast.AST, *, top_only: bool = False) -> Iterator[str]:
    """The modules that a module imports; with `top_only` those it imports when it is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "no relative imports"
            assert node.module
            yield node.module
            if node.module == "gresque":
                yield from (f"gresque.{alias.name}" for alias in node.names)
        elif top_only and (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            or is_for_types(node)
        ):
            continue
        else:
            yield from imports(node, top_only=top_only)


def own_layers(path: Path) -> set[str]:
    """The layers of gresque that a module imports."""
    found = set()
    for module in imports(parse(path)):
        if module.split(".")[0] == "gresque":
            parts = module.split(".")
            inside = len(parts) > 1 and (
                (PACKAGE / parts[1]).is_dir() or (PACKAGE / f"{parts[1]}.py").exists()
            )
            found.add(parts[1] if inside else "__init__")
    return found


def may_import(layer: str, other: str) -> bool:
    if layer == other or (layer, other) in BESIDE | ALLOWED_UP:
        return True
    if layer in EXTRA:
        return other in EXTRA[layer]
    return other != "demo" and RANKS[other] < RANKS[layer]


@each_module
def test_no_layer_reaches_up(path: Path) -> None:
    layer = layer_of(path)
    assert layer in RANKS or layer in EXTRA, "a new layer: say where it stands"
    assert {other for other in own_layers(path) if not may_import(layer, other)} == set()


def test_the_rules_forbid_something() -> None:
    assert not may_import("store", "jobs")
    assert not may_import("client", "failure")
    assert not may_import("connection", "store")
    assert not may_import("inspector", "worker")
    assert not may_import("worker", "master")
    assert not may_import("worker", "demo")
    assert not may_import("demo", "worker")
    assert may_import("cli", "demo")


@each_module
def test_the_demo_takes_no_more_of_the_store_than_numbers(path: Path) -> None:
    if layer_of(path) == "demo":
        from_store = {
            name
            for name in imports(parse(path))
            if name.startswith(("gresque.store", "gresque.connection"))
        }
        assert from_store <= {
            "gresque.store.ledger", "gresque.store.stats", "gresque.connection.embedded",
            "gresque.connection.errors", "gresque.connection.topology", "gresque.connection.urls",
        }  # fmt: skip


@each_module
def test_the_environment_is_read_in_one_place(path: Path) -> None:
    if layer_of(path) in ("settings", "cli"):
        return
    if name_of(path) in ("client/default.py", *PASS_IT_ON, OF_TESTS):
        return
    for node in nodes(path):
        # That of a request is not the environment.
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) != "request":
            assert node.attr not in ("environ", "environb", "getenv"), f"line {node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            assert not {alias.name for alias in node.names} & {"environ", "getenv"}


KEY_PARTS = (
    ":queue:", "queue:", "stat:", ":queues", ":failed", ":workers", "workers:heartbeat", "worker:",
    ":started", ":ledger", "ledger:", ":running", "running:", "resque:",
)  # fmt: skip


def docstrings(path: Path) -> set[ast.Constant]:
    """Strings that stand alone: docstrings, also of attributes."""
    return {
        node.value
        for node in nodes(path)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


@each_module
def test_keys_are_made_in_one_place(path: Path) -> None:
    if name_of(path) == "store/keys.py":
        return
    apart = docstrings(path)
    for node in nodes(path):
        if not isinstance(node, ast.Constant) or node in apart:
            continue
        value = node.value
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if isinstance(value, str) and not any(c.isspace() for c in value.strip()):
            value = value.replace("gresque:", "")  # what messages begin with
            assert not any(part in value for part in KEY_PARTS), f"line {node.lineno}: {value!r}"


@each_module
def test_every_record_has_an_event(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in LOGS:
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            extra = given.get("extra", "")
            said = extra.isidentifier() or extra.startswith("fields(")
            assert said, f"line {node.lineno}: no fields"


@each_module
def test_fields_of_records_have_free_names(path: Path) -> None:
    """`logging` raises KeyError for a field that has the name of one of its own; `pid` and
    `worker` are those of the process that logs."""
    own = vars(logging.makeLogRecord({})).keys()
    for node in nodes(path):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "fields":
            names = {keyword.arg for keyword in node.keywords}
            assert not names & {*own, *RESERVED_FIELDS}, f"line {node.lineno}"


def stays_unpatched(path: Path) -> bool:
    name = name_of(path)
    return any(name == entry or name.startswith(f"{entry}/") for entry in UNPATCHED)


@each_module
def test_layers_without_gevent_or_redis(path: Path) -> None:
    roots = {module.split(".")[0] for module in imports(parse(path))}
    for package, layers in NOWHERE.items():
        if layer_of(path) in layers:
            assert not roots & PACKAGES[package], package


@each_module
def test_no_redis_and_no_gevent_at_the_top(path: Path) -> None:
    if stays_unpatched(path):
        roots = {module.split(".")[0] for module in imports(parse(path), top_only=True)}
        assert not roots & (PACKAGES["redis"] | PACKAGES["gevent"])


def test_the_list_of_unpatched_modules_is_true() -> None:
    for entry in UNPATCHED:
        assert (PACKAGE / entry).exists(), entry


def test_importing_loads_nothing_that_must_be_patched_first() -> None:
    """gevent has to patch `socket` and `ssl` before redis-py builds on them."""
    modules = (
        "gresque, gresque.settings, gresque.cli.main, gresque.cli.work, gresque.cli.options, "
        "gresque.master.manager, gresque.worker.boot"
    )
    program = (
        f"import {modules}, sys\n"
        "bad = {'redis', 'hiredis', 'gevent', 'greenlet', 'ssl'} & set(sys.modules)\n"
        "assert not bad, bad\n"
        "if 'socket' in sys.modules:\n"
        "    import socket\n"
        "    assert socket.socket.__module__ == 'socket', socket.socket\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=PACKAGE.parent, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")


def test_looking_and_commanding_loads_no_hub(redis_url: str) -> None:
    modules = [
        f"gresque.{name_of(path).removesuffix('.py').replace('/', '.')}"
        for path in MODULES
        if layer_of(path) in ("inspector", "control") and path.stem != "__init__"
    ]
    program = "\n".join(
        [
            *(f"import {module}" for module in modules),
            "import gresque, sys",
            f"gresque.configure({redis_url!r})",
            "assert gresque.size('q') == 0",
            "assert gresque.info()['pending'] == 0",
            "bad = {'gevent', 'greenlet'} & set(sys.modules)",
            "assert not bad, bad",
        ]
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=PACKAGE.parent, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")


@each_module
def test_commands_ask_nothing_of_redis_by_themselves(path: Path) -> None:
    """They are faces of inspector, control, client and failure."""
    if layer_of(path) != "cli":
        return
    from_store = {module for module in imports(parse(path)) if module.startswith("gresque.store")}
    assert from_store <= {"gresque.store.store", "gresque.store.commands"}
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Attribute) and node.attr != "close":
            assert ast.unparse(node.value) != "store", f"line {node.lineno}"
