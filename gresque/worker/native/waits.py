"""The object that a greenlet waits on, where a frame of gevent's shows it."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any

MAX_FRAMES = 30


def wait_of(frame: FrameType | None) -> str:
    """`recv 10.0.0.7:6379`, `a lock`: read off a frame of gevent above the job's own. Empty where
    there is none, as much of gevent is C and leaves no frame."""
    for _ in range(MAX_FRAMES):
        if frame is None:
            break
        for ending, describe in _WAITS:
            if frame.f_code.co_filename.endswith(ending):
                try:
                    text = describe(frame)
                except Exception:  # a half-open socket, or a frame in the making
                    continue
                if text:
                    return text
        frame = frame.f_back
    return ""


def _sleep(frame: FrameType) -> str:
    return f"sleep of {frame.f_locals['seconds']:g} s" if frame.f_code.co_name == "sleep" else ""


def _socket(frame: FrameType) -> str:
    values = frame.f_locals
    address = values.get("address") or values["self"].getpeername()
    return f"{frame.f_code.co_name} {_shown(address) or 'on a socket'}"


def _shown(address: Any) -> str:
    if isinstance(address, tuple):
        host, port, *_ = address
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return address.decode(errors="replace") if isinstance(address, bytes) else str(address)


def _lock(frame: FrameType) -> str:
    return "a lock" if frame.f_code.co_name == "acquire" else ""


def _process(frame: FrameType) -> str:
    return f"process {frame.f_locals['self'].pid}"


def _lookup(frame: FrameType) -> str:
    return f"the address of {_shown(frame.f_locals.get('host') or frame.f_locals['hostname'])}"


_WAITS: tuple[tuple[str, Callable[[FrameType], str]], ...] = (
    ("gevent/hub.py", _sleep),
    ("gevent/_socketcommon.py", _socket),
    ("gevent/_socket3.py", _socket),
    ("gevent/ssl.py", _socket),
    ("gevent/thread.py", _lock),
    ("gevent/subprocess.py", _process),
    ("gevent/resolver/thread.py", _lookup),
    ("gevent/select.py", lambda frame: "select"),
    ("gevent/threadpool.py", lambda frame: "a native thread"),
)
