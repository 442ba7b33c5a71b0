"""The frames that are named after the numbers of threads."""

from __future__ import annotations

import sys
from types import CodeType

from gresque.worker.threads.numbered import call_numbered


def test_threads_share_their_names() -> None:
    names: list[CodeType] = []

    def note() -> None:
        frame = sys._getframe(1)
        names.extend((frame.f_code, frame.f_back.f_code))  # type: ignore[union-attr]

    for number in range(5000):
        call_numbered(number, note)
    assert len({id(name) for name in names}) == 256 + 20
