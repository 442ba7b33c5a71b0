"""The arguments of a client that has several shards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gresque.connection.urls import check_namespace
from gresque.errors import SettingsError
from gresque.queue_list import QueueList
from gresque.settings import OPTIONS, Settings
from gresque.shards import Placement, entry_of, shards_of


class Sharding(NamedTuple):
    """As `Client` takes them, checked."""

    urls: tuple[str, ...] = ()
    shards: int = 1
    spread: str = "job"
    pinned: QueueList | None = None

    def placement(self, redis_url: str, namespace: str) -> Placement | None:
        """None where there is one shard. Raises SettingsError."""
        urls = self.urls or (redis_url,)
        if len(urls) == 1 and self.shards == 1:
            return None
        shards = shards_of(urls, namespace, self.shards)
        for shard in shards:
            check_namespace(shard.url, shard.namespace)
        return Placement(shards, self.spread, self.pinned)

    @property
    def arguments(self) -> dict[str, Any]:
        """For another client."""
        return {
            "urls": self.urls,
            "shards": self.shards,
            "spread": self.spread,
            "pinned_queues": "" if self.pinned is None else str(self.pinned),
        }

    @property
    def first_url(self) -> str:
        return entry_of(self.urls[0]).url


NONE = Sharding()


def sharding(
    urls: Sequence[str], shards: int, spread: str, pinned: str | Sequence[str]
) -> Sharding:
    """Check the arguments. Raises SettingsError that names the one that is wrong."""
    if not urls and shards == 1 and spread == "job" and not pinned:
        return NONE
    if isinstance(urls, str):
        raise SettingsError("urls is a list of URLs, one for each shard")
    names = pinned if isinstance(pinned, str) else ",".join(pinned)
    texts = {"redis_urls": " ".join(urls), "shards": str(shards), "spread": spread}
    if names:
        texts["pinned_queues"] = names
    found = {}
    for name, text in texts.items():
        try:
            found[name] = OPTIONS[name].parse(text)
        except SettingsError as error:
            argument = "urls" if name == "redis_urls" else name
            raise SettingsError(f"{argument}: {error}") from None
    return Sharding(
        found["redis_urls"], found["shards"], found["spread"], found.get("pinned_queues")
    )


def sharding_of(settings: Settings) -> Sharding:
    return Sharding(settings.redis_urls, settings.shards, settings.spread, settings.pinned_queues)
