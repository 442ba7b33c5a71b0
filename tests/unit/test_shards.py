"""Which shards the settings make, and which one a key belongs to."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from gresque.errors import SettingsError
from gresque.schedule.declared import declared
from gresque.schedule.entry import Entry
from gresque.settings import Settings
from gresque.shards import Shard, by_key, chosen, named, shards_of
from gresque.web.settings import WebSettings
from gresque.worker.schedules import entries_of

TWO = ("redis://h/0", "redis://h/1")
CLUSTER = "redis+cluster://h1,h2:7000"


def names(*urls: str) -> list[str]:
    return [shard.name for shard in shards_of(urls, "resque")]


def refused(*urls: str, namespace: str = "resque", count: int = 1) -> str:
    with pytest.raises(SettingsError) as caught:
        shards_of(urls, namespace, count)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is written


def test_with_one_url_there_is_one_shard() -> None:
    url = "redis://:secret@h:7000/3"
    for settings in (
        Settings.load({}, {"REDIS_URL": url}),
        Settings.load({}, {"REDIS_URLS": f" {url} "}),
        Settings.load({"redis_url": (url,)}, {}),
    ):
        assert settings.redis_url == url
        (shard,) = settings.all_shards()
        assert shard == Shard(0, "h:7000/3", url, "resque", drains=False)
        assert settings.of_shard(shard).redis_url == url
    assert Settings().all_shards() == (
        Shard(0, "localhost:6379/0", "redis://localhost:6379/0", "resque"),
    )


@pytest.mark.parametrize(
    ("flags", "environ"),
    [
        ({"redis_url": TWO}, {}),
        ({"redis_url": TWO}, {"REDIS_URL": "redis://other", "REDIS_URLS": "bad"}),
        ({"redis_url": (" ".join(TWO),)}, {}),
        ({}, {"REDIS_URLS": f"{TWO[0]}\n\t {TWO[1]} "}),
    ],
)
def test_several_urls_are_a_shard_each(flags: dict[str, Any], environ: dict[str, str]) -> None:
    settings = Settings.load(flags, {"RESQUE_NAMESPACE": "app", **environ})
    assert settings.all_shards() == (
        Shard(0, "h:6379/0", TWO[0], "app"),
        Shard(1, "h:6379/1", TWO[1], "app"),
    )
    assert settings.redis_url == TWO[0]
    source = "--redis" if flags else "REDIS_URLS"
    assert settings.sources["redis_url"] == settings.sources["redis_urls"] == source


def test_a_name_and_what_drains() -> None:
    settings = Settings.load({}, {"REDIS_URLS": "a=redis://h drain:b.2=redis://i drain:redis://j"})
    assert [(shard.name, shard.drains) for shard in settings.all_shards()] == [
        ("a", False),
        ("b.2", True),
        ("j:6379/0", True),
    ]
    (shard,) = Settings.load({"redis_url": ("a=redis://h",)}, {}).all_shards()
    assert (shard.name, shard.url) == ("a", "redis://h")


def test_an_option_of_a_url_is_no_name() -> None:
    assert shards_of(["redis://h?db=2"], "resque")[0].name == "h:6379/2"


def test_names_made_of_urls() -> None:
    assert names(
        "redis://joe:secret@H", "rediss://h:7000/2", "redis://[::1]/1", "redis://:7001",
        "unix:///run/r.sock?db=3", "embedded:///some/dir",
        "redis+sentinel://:secret@s1,s2/main", "redis+sentinel://s1,s2/main/2",
    ) == [
        "h:6379/0", "h:7000/2", "[::1]:6379/1", "localhost:7001/0",
        "/run/r.sock/3", "/some/dir", "main", "main/2",
    ]  # fmt: skip


def test_a_path_with_a_blank() -> None:
    settings = Settings.load({"redis_url": "unix:///a b/r.sock"}, {})
    assert settings.redis_url == "unix:///a b/r.sock"
    urls = Settings.load({}, {"REDIS_URLS": "unix:///a b/r.sock redis://h"}).redis_urls
    assert urls == ("unix:///a b/r.sock", "redis://h")


def test_the_shards_of_a_cluster() -> None:
    shards = shards_of([CLUSTER], "app{resque}x", 3)
    assert [shard.namespace for shard in shards] == [
        "app{resque}x",
        "app{resque:1}x",
        "app{resque:2}x",
    ]
    assert [shard.name for shard in shards] == [shard.namespace for shard in shards]
    assert {shard.url for shard in shards} == {CLUSTER}


def test_what_is_refused() -> None:
    assert "the same place" in refused("redis://h/0", "rediss://:secret@H:6379")
    assert "the same place" in refused("redis+sentinel://a,b/main", "redis+sentinel://b:26379/main")
    assert "the same place" in refused("a=unix:///r.sock", "b=unix:///r.sock?db=0")
    assert "two shards are named 'main'" in refused(
        "redis+sentinel://a/main", "redis+sentinel://b/main"
    )
    assert "leave drain: off one" in refused("drain:redis://h")
    assert "set RESQUE_NAMESPACE={resque}" in refused(CLUSTER, count=2)
    assert "is for a Cluster" in refused("redis://:secret@h", namespace="{r}", count=2)
    assert "2 URLs are given" in refused(CLUSTER, "redis://h", namespace="{r}", count=2)
    assert "named by their namespaces" in refused(f"a={CLUSTER}", namespace="{r}", count=2)


def test_two_variables_for_the_same() -> None:
    environ = {"REDIS_URL": TWO[0], "REDIS_URLS": TWO[1]}
    with pytest.raises(SettingsError, match=r"^REDIS_URL: REDIS_URLS is set as well; keep one"):
        Settings.load({}, environ)
    assert Settings.load({"redis_url": TWO[0]}, environ).redis_urls == ()


def test_no_password_is_shown() -> None:
    settings = Settings.load({}, {"REDIS_URLS": "a=redis://:secret@h redis://:secret@i"})
    assert "secret" not in repr(settings)
    assert "secret" not in repr(settings.all_shards())


# One of them


def test_the_settings_of_one_shard() -> None:
    settings = Settings.load(
        {"redis_url": TWO, "queues": "a", "namespace": "app", "serve_shards": ("1",)}, {}
    )
    (second,) = settings.served_shards()
    assert second.number == 1
    alone = settings.of_shard(second)
    assert (alone.redis_url, alone.namespace) == (TWO[1], "app")
    assert alone.all_shards() == alone.served_shards() == (second._replace(number=0),)
    assert alone.queues == settings.queues


def test_a_shard_by_its_name_or_number() -> None:
    shards = shards_of(["a=redis://h", "b=redis://i"], "resque")
    assert named(shards, "b") == named(shards, "1") == shards[1]
    for name in ("c", "2", "", "-1", "²"):
        with pytest.raises(SettingsError, match=r"no shard .*; there are a, b$"):
            named(shards, name)


def test_the_shards_that_are_chosen() -> None:
    shards = shards_of([f"{letter}=redis://{letter}" for letter in "abcdef"], "resque")

    def numbers(*texts: str) -> list[int]:
        return [shard.number for shard in chosen(shards, texts)]

    assert numbers("4-5", "b", "0-1") == [0, 1, 4, 5]
    for text in ("3-6", "2-1", "x-y"):
        with pytest.raises(SettingsError):
            numbers(text)


def test_a_key_stays_on_its_shard() -> None:
    """All programs must agree on this, those of another version too."""
    shards = shards_of(["a=redis://h", "b=redis://i", "c=redis://j"], "resque")
    assert [by_key(shards, key).name for key in ("mail", "user:1", "user:2", "é")] == [
        by_key(tuple(reversed(shards)), key).name for key in ("mail", "user:1", "user:2", "é")
    ]
    keys = [f"user:{number}" for number in range(3000)]
    before = {key: by_key(shards, key).name for key in keys}
    assert all(800 < count < 1200 for count in Counter(before.values()).values())
    drained = tuple(shard._replace(drains=shard.name == "b") for shard in shards)
    for key in keys:
        after = by_key(drained, key).name
        assert after == before[key] if before[key] != "b" else after != "b"


def test_the_settings_of_the_pages() -> None:
    web = WebSettings(redis_urls=("a=redis://h", "b=redis://i"))
    assert [shard.name for shard in web.all_shards()] == ["a", "b"]
    assert [shard.name for shard in WebSettings().all_shards()] == ["localhost:6379/0"]


# Where jobs go


def test_the_shard_of_a_job() -> None:
    environ = {
        "REDIS_URLS": "a=redis://h b=redis://i c=redis://j",
        "PINNED_QUEUES": "pay,mail-*,!mail-x",
    }
    placement = Settings.load({}, environ).placement()
    assert placement.is_spread("web")
    assert placement.is_spread("mail-x")
    assert placement.of("web") is None
    assert placement.of("web", "key") == by_key(placement.shards, "key")
    for queue in ("pay", "mail-1"):
        assert not placement.is_spread(queue)
        assert placement.of(queue, "key") == by_key(placement.shards, queue)
    by_queue = Settings.load({}, {**environ, "SPREAD": "queue"}).placement()
    assert by_queue.of("web", "key") == by_key(placement.shards, "web")
    alone = Settings().placement()
    assert not alone.is_spread("web")
    assert alone.of("web") == alone.shards[0]


def test_an_entry_of_the_schedule_stands_on_one_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {
        f"entry {number}": Entry(name=f"entry {number}", every=60.0, job="J", queue="q")
        for number in range(20)
    }
    entries["pinned"] = Entry(name="pinned", every=60.0, job="J", queue="pay")
    monkeypatch.setattr(declared, "_entries", entries)
    settings = Settings.load(
        {}, {"REDIS_URLS": "a=redis://h b=redis://i c=redis://j", "PINNED_QUEUES": "pay"}
    )
    shards = settings.all_shards()
    found = [[entry.name for entry in entries_of(settings.of_shard(shard))] for shard in shards]
    assert sorted(name for names in found for name in names) == sorted(entries)
    assert all(found)
    assert "pinned" in found[by_key(shards, "pay").number]
    assert len(entries_of(Settings())) == 21
