"""Configurations as Ruby's resque-scheduler takes and writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gresque.errors import ScheduleError
from gresque.schedule.entry import Entry
from gresque.schedule.ruby import first_in, is_meant_for, read_entry

# name of the entry, its JSON in persistent_schedules, what is read from it
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "every_min": (
        '{"cron":"* * * * *","class":"Cls","queue":"high","args":[1,{"a":2}],'
        '"description":"each minute"}',
        {"cron": "* * * * *", "queue": "high", "args": [1, {"a": 2}],
         "description": "each minute"},
    ),
    "secs": (
        '{"cron":"*/5 * * * * *","class":"Cls","args":"one"}',
        {"cron": "*/5 * * * * *", "args": ["one"]},
    ),
    "tz": (
        '{"cron":"0 9 * * 1-5 Europe/Berlin","class":"Cls","args":{"h":1}}',
        {"cron": "0 9 * * 1-5", "tz": "Europe/Berlin", "args": [{"h": 1}]},
    ),
    "every": ('{"every":["30s",{"first_in":"5s"}],"class":"Cls"}', {"every": 30.0}),
    "Cls": ('{"every":"2h"}', {"every": 7200.0}),
    "options": ('{"cron":["* * * * *",{"overlap":false}],"class":"Cls"}', {"cron": "* * * * *"}),
    "number": ('{"every":90,"class":"Cls","args":null,"persist":true}', {"every": 90.0}),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_what_ruby_writes(name: str) -> None:
    raw, fields = CONFIGS[name]
    found = read_entry(name, json.loads(raw), {"Cls": "declared"}.get, "ruby", "")
    expected = {"name": name, "job": "Cls", "queue": "declared", "source": "ruby"} | fields
    assert found == Entry(**expected)


WRONG = {
    "no mapping": ([], "it is no mapping"),
    "no time": ({"queue": "q"}, "give either cron or every"),
    "both": ({"cron": "* * * * *", "every": "1h", "queue": "q"}, "give either cron or every"),
    "class": ({"every": "1h", "class": 5, "queue": "q"}, "class 5 is not the name of a job"),
    "queue": ({"every": "1h"}, "it has no queue, and job x is not declared here"),
    "odd queue": ({"every": "1h", "queue": 5}, "it has no queue"),
    "custom": ({"every": "1h", "custom_job_class": "C"}, "custom_job_class calls code of a Ruby"),
    "line": ({"cron": 5, "queue": "q"}, "5 is not a cron line"),
    "empty": ({"every": [], "queue": "q"}, "every [] is no interval"),
    "zone": ({"cron": "0 2 * * *", "tz": ["a"], "queue": "q"}, "tz=['a'] is no zone"),
    "months": ({"every": "1M", "queue": "q"}, "in Ruby M is a month"),
    "catch_up": ({"every": "1h", "queue": "q", "catch_up": 5}, "catch_up: 5 is wrong"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_run(what: str) -> None:
    config, message = WRONG[what]
    with pytest.raises(ScheduleError) as raised:
        read_entry("x", config, lambda job: None, "ruby", "")
    assert message in str(raised.value)


def test_environments() -> None:
    named = {"rails_env": "staging, production"}
    assert [is_meant_for(named, env) for env in ("production", "staging", "prod", "")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert is_meant_for({"env": "test"}, "test")
    assert is_meant_for({"env": ["test", "production"]}, "production")
    assert is_meant_for({}, "") and is_meant_for({}, "test") and is_meant_for([], "test")


def test_options_of_an_interval() -> None:
    assert first_in({"every": ["30s", {"first_in": "5s"}]})
    assert not first_in({"every": ["30s"]}) and not first_in({"every": "30s"})
