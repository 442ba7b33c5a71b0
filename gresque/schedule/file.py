"""Schedule files: YAML in resque-scheduler's format. Pure but for reading the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from gresque.errors import ScheduleError
from gresque.schedule.entry import Entry
from gresque.schedule.ruby import FIELDS, OWN_FIELDS, FindQueue, first_in, is_meant_for, read_entry


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
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return []
        if not isinstance(root, yaml.MappingNode):
            raise ScheduleError(
                f"{path}, line {_line(root)}: it is no mapping; write the name of an entry, a "
                "colon, and its settings below"
            )
        found: dict[str, tuple[str, int, Any, dict[str, int]]] = {}
        for key, value in root.value:
            name, line = str(loader.construct_object(key)), _line(key)
            if name in found:
                raise ScheduleError(
                    f"{path}, line {line}: entry {name!r} stands in line {found[name][1]} already; "
                    "rename one"
                )
            fields = value.value if isinstance(value, yaml.MappingNode) else ()
            lines = {str(loader.construct_object(each)): _line(each) for each, _ in fields}
            found[name] = name, line, loader.construct_object(value, deep=True), lines
        return list(found.values())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        hint = "; put a cron line into quotes" if "alias" in str(error) else ""
        raise ScheduleError(f"{path}{where}: {error.problem or error.context}{hint}") from None
    except yaml.YAMLError as error:
        raise ScheduleError(f"{path}: {' '.join(str(error).split())}") from None
    finally:
        loader.dispose()


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _unknown(field: str) -> str:
    if field == "overlap":
        return "overlap is not supported yet: a job that runs does not hold up the next tick"
    return f"the field {field!r} is unknown; an entry has {', '.join(sorted(FIELDS | OWN_FIELDS))}"
