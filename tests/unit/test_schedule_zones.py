from __future__ import annotations

from datetime import UTC

import pytest

from gresque.errors import ScheduleError
from gresque.schedule.zones import zone


def test_zones() -> None:
    assert zone("UTC") is UTC
    assert str(zone("Australia/Lord_Howe")) == "Australia/Lord_Howe"


MEANT = {
    "europe/berlin": "Europe/Berlin", "Berlin": "Europe/Berlin", "new york": "America/New_York",
    "Europe/Berln": "Europe/Berlin", "utc": "UTC",
}  # fmt: skip


@pytest.mark.parametrize("name", MEANT)
def test_one_like_it(name: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        zone(name)
    assert str(raised.value) == f"the zone {name!r} is unknown; write {MEANT[name]!r}"


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../etc", "Qqqqqqqqqq", "a\0b"])
def test_nothing_like_it(name: str) -> None:
    with pytest.raises(ScheduleError, match="is unknown; write one such as 'Europe/Berlin'"):
        zone(name)


def test_a_machine_without_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneinfo.available_timezones", lambda: set[str]())
    with pytest.raises(ScheduleError, match="pip install tzdata"):
        zone("Europe/Berlinn")
