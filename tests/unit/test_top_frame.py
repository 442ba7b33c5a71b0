"""The frames of `gresque top`."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest
import redis

from gresque.failure.backend import open_backend
from gresque.inspector.filters import parse
from gresque.inspector.running_page import read_jobs
from gresque.inspector.snapshot import Trouble
from gresque.inspector.verdict_rules import away
from gresque.store.store import Store
from gresque.top.dialog import kill_dialog, over
from gresque.top.feed import Feed
from gresque.top.frame import draw, move_to, rows_of, shown, table_room
from gresque.top.palette import PALETTES, style
from gresque.top.spans import Glyphs, Span, fit, spread, width_of
from gresque.top.state import Outcome, Screenful, Stack
from gresque.top.views import FAILED, QUEUES, VIEWS
from tests.support.top import BLOCKED, OTHER, fill, lines, screen_of
from tests.support.views import item, process, wait


@pytest.fixture
def screen(store: Store, redis_client: redis.Redis) -> Screenful:
    fill(redis_client)
    return screen_of(store, jobs=True)


def test_as_drawn(screen: Screenful) -> None:
    found = lines(screen)
    assert found[0].startswith("gresque top  acme  ") and found[0].endswith("  ? help")
    assert "● live 1 s" in found[0]
    assert found[1].startswith(" done      0/s ")
    assert "  waiting       3 " in found[1] and re.search(r" mail 6m1\ds$", found[1].rstrip())
    assert "  running      33 of 44  2 of 4 procs" in found[2]
    assert re.match(r"✕ web-07:5123 reports.BuildPdf blocks its process 1\d\.", found[3])
    assert " s, 2 wait  " in found[3] and found[3].rstrip().endswith("  !1 kill")
    assert found[4].startswith("▲ sync.PullOrders 40 ConnectTimeout in 5m")
    assert found[5].startswith("◆ imports is worked by nobody: 1 wait, the oldest 1m3")
    assert found[6].rstrip() == (
        "1 Running  2 Queues 2  3 Failed 43  4 Jobs 0  5 Workers 2  6 Ledger"
    )
    assert found[7].rstrip() == "/ 31 of 33 running; what blocks others first, then the oldest"
    assert found[8].startswith(
        "  RUNS FOR  JOB                              WAITS ON               WHERE"
    )
    assert re.match(r"✕   1\d\.", found[9])
    assert "s  reports.BuildPdf(8812, format=…  CPU; 2 others wait     web-07:5123▐" in found[9]
    assert re.search(
        r'5m0\ds  sync\.PullOrders\("shop-0"\)        –                      eu-02:4410 ▐',
        found[10],
    )
    assert found[23].startswith("j k move  x select  Enter stack  K kill  / filter")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 20), (200, 60), (40, 12)])
def test_every_view_fills_the_screen(
    store: Store, redis_client: redis.Redis, size: tuple[int, int]
) -> None:
    fill(redis_client)
    screen = screen_of(store, *size)
    for screen.view in range(len(VIEWS)):
        for screen.stack in (None, Stack("a job", ["a.py:1 in f"] * 50)):
            found = lines(screen)
            assert len(found) == size[1]
            assert {width_of(text) for text in found} == {size[0]}


def test_a_wide_screen_shows_queues(store: Store, redis_client: redis.Redis) -> None:
    fill(redis_client)
    assert "QUEUE" in lines(screen_of(store, 120, 40))[8]
    assert "WAITS ON" not in lines(screen_of(store, 60, 20))[8]


def test_all_is_well(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, BLOCKED, item("A"), runs={"0": 5})
    screen = screen_of(store)
    found = lines(screen)
    assert found[3].startswith("All is well. 0/s, nothing waits, no job was lost.")
    assert found[4].startswith("1 Running"), "the rows go to the table"
    assert table_room(screen) == 16


def test_without_utf8(store: Store, redis_client: redis.Redis) -> None:
    fill(redis_client)
    process(redis_client, BLOCKED, item("täglich", "ü€"), runs={"0": 5000})
    screen = screen_of(store, utf8=False)
    for screen.view in range(len(VIEWS)):
        found = lines(screen)
        assert all(text.isascii() for text in found), found
        assert {len(text) for text in found} == {80}
    screen.dialog = kill_dialog([], {})
    assert all(line.text.isascii() for line in over(draw(screen), screen.dialog, 80, Glyphs(False)))


def test_hostile_values(store: Store, redis_client: redis.Redis) -> None:
    bad = "\x1b[2J\u202e\x00\n\t漢字"
    process(redis_client, f"{bad}:1:q:1:4:0:7:1795485960660", item(bad, bad), runs={"0": 50})
    wait(redis_client, bad, item(bad, age=90))
    screen = screen_of(store, jobs=True)
    for screen.view in range(len(VIEWS)):
        found = lines(screen)
        assert all(text.isprintable() for text in found)
        assert {width_of(text) for text in found} == {80}


def test_old_numbers_are_grey(screen: Screenful) -> None:
    assert screen.snapshot is not None
    reason = "no answer from Redis at db:6379 (timeout)"
    screen.snapshot = replace(
        screen.snapshot,
        trouble=Trouble(reason, time.time()),
        taken=time.monotonic() - 12,
        verdict=screen.snapshot.verdict.with_first(away(reason)),
    )
    found = draw(screen)
    assert "◌ 12." in found[0].text and " s old" in found[0].text
    assert found[3].text.startswith("✕ Redis is away: db:6379 (timeout)")
    assert {span.tone for span in found[9].spans} == {"dim"}
    assert {span.tone for span in found[3].spans} != {"dim"}


def test_before_the_first_snapshot() -> None:
    screen = Screenful("acme", trouble="no answer from Redis at db:6379")
    assert lines(screen)[3].startswith("no answer from Redis at db:6379")
    assert len(lines(screen)) == 24


def test_a_filter(screen: Screenful) -> None:
    screen.here.wanted = parse("class:reports.* >5s")
    found = lines(screen)
    assert found[7].startswith("/ class:reports.* >5s   1 of 33 running")
    assert "reports.BuildPdf" in found[9] and not found[10].strip()
    screen.here.wanted = parse("class:none")
    assert "nothing matches the filter" in lines(screen)[9]


def test_the_cursor_stays_with_its_row(screen: Screenful) -> None:
    rows = rows_of(screen)
    move_to(screen, rows, 5)
    kept = rows[5]
    assert screen.snapshot is not None
    screen.here.sort = 1
    draw(screen)
    assert rows_of(screen)[screen.here.cursor] == kept
    assert screen.here.top <= screen.here.cursor < screen.here.top + table_room(screen)


def test_the_order_stays_while_rows_are_selected(screen: Screenful) -> None:
    before = [row.place for row in rows_of(screen)]
    screen.selected = {before[2]: None}
    rows_of(screen)
    screen.here.sort = 1
    assert [row.place for row in rows_of(screen)] == before
    assert rows_of(screen) is rows_of(screen), "not each key sorts them"
    assert "the order is frozen" in lines(screen)[7]
    screen.selected.clear()
    assert [row.place for row in rows_of(screen)] != before


def test_what_became_of_a_job_stands_in_its_row(
    store: Store, redis_client: redis.Redis, screen: Screenful
) -> None:
    job = rows_of(screen)[1]
    screen.known = dict(screen.known)
    redis_client.hdel(f"resque:ledger:{OTHER}", "0")
    redis_client.delete(f"resque:running:{OTHER}")
    screen.snapshot = screen_of(store).snapshot
    assert job.place not in {row.place for row in rows_of(screen)}
    screen.outcomes[job.place] = Outcome("dead", True, time.monotonic() + 60, job)
    (line,) = [line for line in draw(screen) if "sync.PullOrders(" in line.text]
    assert "dead" in line.text
    assert rows_of(screen) is rows_of(screen)
    assert any("strike" in span.tone for span in line.spans)
    screen.outcomes[job.place].until = time.monotonic() - 1
    screen.forget_old_outcomes()
    assert "dead" not in "".join(lines(screen))


def test_thousands_of_rows(screen: Screenful) -> None:
    rows = rows_of(screen)
    move_to(screen, rows, len(rows) - 1)
    found = draw(screen)
    assert found[9 + table_room(screen) - 1].ground == "cursor"
    assert found[9].text[79] == " " and found[22].text[79] == "▐", "the thumb is at the bottom"
    assert len(shown(screen)) == table_room(screen)


def test_failed_groups(store: Store, redis_client: redis.Redis) -> None:
    fill(redis_client)
    screen = screen_of(store)
    feed = Feed(store, open_backend("redis", store), "redis")
    feed.groups()
    assert feed._index.wait(5.0).is_complete
    screen.groups, screen.progress = feed.groups()
    feed.close()
    screen.view = FAILED
    found = lines(screen)
    assert found[9].split()[:3] == ["40", "sync.PullOrders", "ConnectTimeout"]
    assert found[10].split()[:3] == ["3", "hooks.Deliver", "HTTPError"]


def test_queues(screen: Screenful) -> None:
    screen.view = QUEUES
    found = lines(screen)
    assert found[9].split()[:2] == ["mail", "2"] and "cap 20, 0 run" in found[9]
    assert found[10].split()[0] == "imports" and "nobody works it" in found[10]


class TestKillDialog:
    def test_one(self, store: Store, screen: Screenful) -> None:
        snapshot = screen.snapshot
        assert snapshot is not None
        (job,) = read_jobs(store, snapshot, rows_of(screen)[:1])
        dialog = kill_dialog([job], {BLOCKED: 3})
        assert dialog.title == "Kill 1 job?"
        assert dialog.lines[0] == 'reports.BuildPdf(8812, format="a4")'
        assert dialog.lines[1].startswith("web-07:5123, for 14.")
        assert dialog.lines[-1] == "It fails as DirtyExit. The 2 others go on."
        found = over(draw(screen), dialog, 80, screen.glyphs)
        assert len(found) == 24
        assert {width_of(line.text) for line in found} == {80}
        assert any("│ Kill 1 job?" in line.text for line in found)
        many = kill_dialog([job] * 60, {BLOCKED: 60})
        assert (many.wanted, many.is_right) == ("60", False)
        many.typed = "60"
        assert many.is_right


@pytest.mark.parametrize(
    ("text", "expected"), [("abc", "abc  "), ("abcdefg", "abcd…"), ("漢字漢", "漢字…")]
)
def test_fit(text: str, expected: str) -> None:
    assert fit(text, 5, Glyphs()) == expected


def test_fit_at_the_other_end() -> None:
    assert fit("abcdefg", 5, Glyphs(), end=True) == "…defg"
    assert fit("ab", 5, Glyphs(), right=True) == "   ab"


def test_spread() -> None:
    found = spread([Span("a long text")], [Span("right")], 12, Glyphs())
    assert "".join(span.text for span in found) == "a long…right"


def test_sparks() -> None:
    assert Glyphs().spark([0, 5, 10], 5) == "  ▁▄█"
    assert Glyphs().spark([0, 0], 2) == "▁▁"
    assert Glyphs(False).spark([0, 5, 10], 3) == "_-#"


@pytest.mark.parametrize("palette", PALETTES)
def test_palettes(palette: str) -> None:
    tone = style(palette, "fail bold", "")
    assert tone.bold
    cursor = style(palette, "", "cursor")
    if palette == "none":
        assert not (tone.color and tone.color.triplet) and cursor.reverse
    else:
        assert tone.color != style(palette, "done", "").color
