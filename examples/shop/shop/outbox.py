"""Where mails go; a real shop has an SMTP server here."""

from __future__ import annotations

from typing import NamedTuple


class Mail(NamedTuple):
    to: str
    text: str


sent: list[Mail] = []


def send(to: str, text: str) -> None:
    print(f"mail to {to}: {text}", flush=True)
    sent.append(Mail(to, text))
