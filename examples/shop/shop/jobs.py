"""The jobs of the shop."""

from __future__ import annotations

import gresque
from shop import outbox

DAY_SECONDS = 86_400


@gresque.job(queue="mail", retries=5, backoff=gresque.exponential(base=10))
def confirm(to: str, order: int, items: list[str]) -> None:
    """Send the confirmation of an order."""
    outbox.send(to, f"order {order}: {', '.join(items)}")


@gresque.job(queue="mail", unique="queued")
def ask_for_review(to: str, order: int) -> None:
    """Ask for a review, once for each order."""
    outbox.send(to, f"how was order {order}?")


@gresque.job(queue="web")
def deliver(to: str, order: int) -> None:
    """Hand an order to the carrier, and ask for a review a week later."""
    ask_for_review.enqueue_in(7 * DAY_SECONDS, to, order)


def place_order(to: str, order: int, items: list[str]) -> None:
    """What both web programs do."""
    confirm.enqueue(to, order, items=items)
    deliver.enqueue(to, order)
