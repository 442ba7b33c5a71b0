"""Where jobs were declared, and what they are called by default."""

from __future__ import annotations

import functools
import importlib
import runpy
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gresque.errors import JobDeclarationError
from gresque.jobs.registry import registry
from gresque.jobs.source import clash, default_name, innermost, name_of, source_of

# Names


def test_default_names() -> None:
    assert default_name("a.b", "C.d") == "a.b.C.d"


def test_a_script_names_its_jobs_as_importing_it_would(tmp_path: Path) -> None:
    script = tmp_path / "my_script.py"
    script.write_text(
        "import gresque\n"
        "@gresque.job('q')\n"
        "def send(): pass\n"
        "class Archive(gresque.Job):\n"
        "    queue = 'q'\n"
        "    def perform(): pass\n"
    )
    main = sys.modules["__main__"]
    script_globals = runpy.run_path(str(script), run_name="not_main")
    assert script_globals["send"].definition.name == "not_main.send"
    assert sys.modules["__main__"] is main


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"__file__": "/srv/my_script.py", "__spec__": None}, "my_script.f"),
        ({"__file__": "script"}, "script.f"),
        ({"__spec__": types.SimpleNamespace(name="pkg.mod")}, "pkg.mod.f"),
        ({"__spec__": types.SimpleNamespace(name="pkg.__main__")}, "pkg.__main__.f"),
        ({}, "__main__.f"),
        ({"__file__": "<stdin>"}, "__main__.f"),
        (
            {"__spec__": types.SimpleNamespace(name="__main__"), "__file__": "/x.pyz/__main__.py"},
            "__main__.f",
        ),
    ],
    ids=["file", "no-suffix", "module", "package", "prompt", "stdin", "zip"],
)
def test_names_in_main(
    attributes: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = types.ModuleType("__main__")
    vars(main).update(attributes)
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert default_name("__main__", "f") == name


PACKAGES = [
    # the files there are, the script, the working directory, the module's name
    (["app/__init__.py"], "app/tasks.py", ".", "app.tasks"),
    (["app/__init__.py"], "app/tasks.py", "app", "tasks"),
    (["a/__init__.py", "a/b/__init__.py"], "a/b/tasks.py", ".", "a.b.tasks"),
    (["a/__init__.py", "a/b/__init__.py"], "a/b/tasks.py", "a", "b.tasks"),
    (["a/b/__init__.py"], "a/b/tasks.py", ".", "b.tasks"),
    (["__init__.py"], "tasks.py", ".", "tasks"),
    (["app/__init__.py"], "app/tasks.py", "elsewhere", "app.tasks"),
    (["app/__init__.py"], "app/__main__.py", ".", "app.__main__"),
    ([], "app/__main__.py", ".", "__main__"),
    ([], "scripts/tasks.py", ".", "tasks"),
]


@pytest.mark.parametrize(("files", "script", "cwd", "module"), PACKAGES, ids=range(len(PACKAGES)))
def test_a_script_in_a_package(
    files: list[str],
    script: str,
    cwd: str,
    module: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [*files, script]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / cwd).mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / cwd)
    for main in ("__main__", "__mp_main__"):
        namespace = {"__name__": main, "__file__": str(tmp_path / script)}
        assert default_name(main, "f", namespace) == f"{module}.f"


def test_a_working_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "cwd", lambda: (_ for _ in ()).throw(FileNotFoundError()))
    namespace = {"__name__": "__main__", "__file__": str(tmp_path / "tasks.py")}
    assert default_name("__main__", "f", namespace) == "tasks.f"


class Callable:
    def __call__(self) -> None: ...


@pytest.mark.parametrize("function", [functools.partial(print), Callable()])
def test_what_has_no_name(function: Any) -> None:
    with pytest.raises(JobDeclarationError, match="has no name; give its job one"):
        name_of(function)


def test_what_is_typed_after_a_script() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": "/srv/tasks.py"}
    for file, name in (("/srv/tasks.py", "tasks.f"), ("<stdin>", "__main__.f")):
        exec(compile("def f(): pass", file, "exec"), namespace)
        assert name_of(namespace["f"]) == name


def hides(function: Any) -> Any:
    def inner() -> None:
        function()

    return inner


def names(function: Any) -> Any:
    @functools.wraps(function)
    def inner() -> None:
        function()

    return inner


def plain() -> None: ...


@pytest.mark.parametrize("function", [lambda: None, hides(plain)])
def test_a_name_that_many_have(function: Any) -> None:
    with pytest.raises(
        JobDeclarationError, match=r"test_source.py:\d+\) is .*; give it one of"
    ) as e:
        name_of(function)
    assert "\n" not in str(e.value)


def test_wraps_keeps_name_and_place() -> None:
    assert name_of(names(plain)) == f"{__name__}.plain"
    assert innermost(names(functools.partial(names(plain)))) is plain
    line = plain.__code__.co_firstlineno
    assert str(source_of(names(plain))) == f"{__name__}.plain ({__file__}:{line})"


def test_a_builtin_has_no_place() -> None:
    assert str(source_of(print)) == "builtins.print"


# Two jobs of a name


def clashes(one: Any, other: Any) -> bool:
    return clash(source_of(one), one, source_of(other), other)


def tenant(number: int, app: Any = None) -> Any:
    def sync() -> Any:
        return number, app

    return sync


class Owner:
    def method(self) -> None: ...


def test_the_same_code_with_other_values_is_another_job() -> None:
    first, second = Owner(), Owner()
    app = object()
    assert clashes(tenant(1), tenant(2))
    assert clashes(hides(plain), hides(print))
    assert clashes(first.method, second.method)
    assert clashes(functools.partial(plain, 1), functools.partial(plain, 2))
    assert clashes(tenant(1, object()), tenant(1, object()))
    assert not clashes(tenant(1, app), tenant(1, app))
    assert not clashes(hides(plain), hides(plain))
    assert not clashes(first.method, first.method)
    assert not clashes(functools.partial(plain, x=1), functools.partial(plain, x=1))


def test_another_function_in_the_same_file() -> None:
    assert clashes(plain, names)
    again = types.FunctionType(plain.__code__.replace(co_firstlineno=1), globals(), "plain")
    again.__qualname__ = "plain"
    assert clashes(plain, again), "the second of two by one name"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    before = dict(registry._definitions)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "reloaded_jobs.py"
    sys.modules.pop("reloaded_jobs", None)
    registry._definitions.clear()
    registry._definitions.update(before)


ONE = """
import gresque
@gresque.job(queue="q", name={name})
def send(): return {result}
class Archive(gresque.Job):
    queue = "q"
    def perform(): return {result}
"""


@pytest.mark.parametrize("name", ["None", "'mail'"])
def test_a_reload_replaces(module: Path, name: str) -> None:
    module.write_text(ONE.format(name=name, result=1))
    loaded: Any = importlib.import_module("reloaded_jobs")
    module.write_text("# moved\n" + ONE.format(name=name, result=22))
    loaded = importlib.reload(loaded)
    assert registry.get(loaded.send.definition.name).function() == 22
    assert registry.get("reloaded_jobs.Archive").function() == 22
    del sys.modules["reloaded_jobs"]
    loaded = importlib.import_module("reloaded_jobs")
    assert registry.get("reloaded_jobs.Archive") is loaded.Archive.definition


def test_twice_in_one_module(module: Path) -> None:
    module.write_text(ONE.format(name="'mail'", result=1) + ONE.format(name="'mail'", result=2))
    with pytest.raises(JobDeclarationError, match="two jobs are named 'mail'") as caught:
        importlib.import_module("reloaded_jobs")
    assert str(caught.value).count("reloaded_jobs.py:") == 2


def test_cells_of_a_notebook_replace() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    cells = []
    for number in (1, 2):
        exec(compile(f"def f(): return {number}", f"/tmp/cell{number}.py", "exec"), namespace)
        cells.append(namespace["f"])
    assert not clashes(*cells)
