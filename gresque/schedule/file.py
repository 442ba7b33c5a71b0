"""Schedule files: YAML in resque-scheduler's format. Pure but for reading the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from gresque.errors import ScheduleError
from gresque.schedule.entry import Entry
from gresque.schedule.ruby import FIELDS, OWN_FIELDS, FindQueue, first_in, is_meant_for, read_entry

MOST_VALUES = 1_000_000
"""Of a file: a few aliases of aliases would be billions of them."""


class ScheduleFile(NamedTuple):
    """The entries of a file, and what is worth knowing of it."""

    entries: list[Entry]
    notes: list[str]
    """Settings without effect, and entries for another environment."""


def read_file(path: str, find_queue: FindQueue, env: str = "", app: str = "") -> ScheduleFile:
    """Read a schedule file. Raises ScheduleError with the line that is wrong."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ScheduleError(f"cannot read the schedule file {path}: {reason}") from None
    return parse(text, path, find_queue, env, app)


def parse(text: str, path: str, find_queue: FindQueue, env: str, app: str) -> ScheduleFile:
    found = ScheduleFile([], [])
    for name, line, config, lines in _configurations(text, path):
        for field, at in lines.items():
            if field not in FIELDS | OWN_FIELDS:
                raise ScheduleError(f"{path}, line {at}: {_unknown(field)}")
        if not is_meant_for(config, env):
            named = config.get("rails_env") or config.get("env")
            found.notes.append(
                f"{path}, line {line}: entry {name!r} is for the environment {named}, and this is "
                f"{env or 'none'} (SCHEDULE_ENV)"
            )
            continue
        if first_in(config):
            found.notes.append(
                f"{path}, line {line}: entry {name!r}: options of its interval, such as first_in, "
                "have no effect"
            )
        try:
            entry = read_entry(name, config, find_queue, "file", app)
        except ScheduleError as error:
            raise ScheduleError(f"{path}, line {line}: entry {name!r}: {error}") from None
        except RecursionError:
            raise ScheduleError(
                f"{path}, line {line}: entry {name!r}: its values are nested too deeply"
            ) from None
        found.entries.append(entry)
    return found


def _configurations(text: str, path: str) -> list[tuple[str, int, Any, dict[str, int]]]:
    """Of each entry its name, its line, its configuration and the lines of its fields."""
    try:
        import yaml
    except ImportError:
        raise ScheduleError(
            "schedule files need the package PyYAML: pip install 'gresque[cron]'"
        ) from None
    try:
        return _read_root(yaml.SafeLoader(text), path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        hint = "; put a cron line into quotes" if "alias" in str(error) else ""
        raise ScheduleError(f"{path}{where}: {error.problem or error.context}{hint}") from None
    except yaml.YAMLError as error:
        raise ScheduleError(f"{path}: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ScheduleError(f"{path}: its values are nested too deeply") from None


def _read_root(loader: Any, path: str) -> list[tuple[str, int, Any, dict[str, int]]]:
    root = loader.get_single_node()
    if root is None:
        return []
    if root.id != "mapping":
        raise ScheduleError(
            f"{path}, line {_line(root)}: it is no mapping; write the name of an entry, a colon, "
            "and its settings below"
        )
    if _size(root, {}) > MOST_VALUES:
        raise ScheduleError(
            f"{path}: it has more than {MOST_VALUES:,} values, those of aliases included"
        )
    found: dict[str, tuple[str, int, Any, dict[str, int]]] = {}
    for key, value in root.value:
        name, line = _text(key, path), _line(key)
        if name in found:
            raise ScheduleError(
                f"{path}, line {line}: entry {name!r} stands in line {found[name][1]} already; "
                "rename one"
            )
        if value.id == "mapping":
            lines = _field_lines(loader, value, path)
            config = {_text(each, path): _value(loader, node, path) for each, node in value.value}
        else:
            lines, config = {}, _value(loader, value, path)
        found[name] = name, line, config, lines
    return list(found.values())


def _field_lines(loader: Any, node: Any, path: str) -> dict[str, int]:
    """The line of each field of an entry; those that `<<` brings in are among its fields then."""
    lines: dict[str, int] = {}
    for key, _ in node.value:
        field = _text(key, path)
        if field in lines:
            raise ScheduleError(
                f"{path}, line {_line(key)}: the field {field!r} stands in line {lines[field]} "
                "already; remove one"
            )
        lines[field] = _line(key)
    loader.flatten_mapping(node)
    return {_text(key, path): _line(key) for key, _ in node.value}


def _text(key: Any, path: str) -> str:
    """A name or field as it is written: `on` and `010` are no others than these."""
    if key.id != "scalar":
        raise ScheduleError(f"{path}, line {_line(key)}: a {key.id} is no name; write a text")
    return str(key.value)


def _value(loader: Any, node: Any, path: str) -> Any:
    try:
        return loader.construct_object(node, deep=True)
    except (ValueError, OverflowError, TypeError) as error:  # such as 2026-02-31
        raise ScheduleError(
            f"{path}, line {_line(node)}: a value cannot be read: {error}; put it into quotes"
        ) from None


def _size(node: Any, sizes: dict[int, int]) -> int:
    """How many values a node has, those behind aliases counted each time."""
    known = sizes.get(id(node))
    if known is not None:
        return known
    sizes[id(node)] = 1  # a node within itself, which is refused later
    if node.id == "mapping":
        sizes[id(node)] += sum(_size(key, sizes) + _size(value, sizes) for key, value in node.value)
    elif node.id == "sequence":
        sizes[id(node)] += sum(_size(each, sizes) for each in node.value)
    return sizes[id(node)]


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _unknown(field: str) -> str:
    return f"the field {field!r} is unknown; an entry has {', '.join(sorted(FIELDS | OWN_FIELDS))}"
