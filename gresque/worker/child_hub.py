"""The hub of a process that a job forks: what stands in the place of the parent's, and keeps the
parent's greenlets from running a second time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures.thread import _WorkItem
from contextlib import suppress
from dis import opname
from types import FrameType
from typing import Any

from gevent import _hub_local, threadpool
from gevent import hub as gevent_hub
from gevent._socketcommon import SocketMixin
from gevent.hub import Hub
from gevent.timeout import Timeout, _FakeTimer
from greenlet import greenlet, settrace

from gresque.forked import end_child

default_hub: Any = None
"""The hub of the main thread: only its loop knows of signals and children."""
_unused: tuple[Any, Callable[[], None]] | None = None
"""The parent's loop, and how to leave the parent's worker, while this process, a child, may yet end
without having used its hub."""
_gone: list[Any] = []
"""The loops of the processes before this one, destroyed."""
_left: list[_LeftHub] = []
"""Hubs of the processes before this one. To collect one would unwind every greenlet that waits on
it, and run the `finally` of every job."""


class _LeftHub(Hub):  # type: ignore[misc]
    """The parent's hub in the child. Sockets, locks and greenlets of the parent refer to it: what
    they ask of it, the hub of the child does."""

    def switch(self) -> Any:
        return gevent_hub.get_hub().switch()

    def wait(self, watcher: Any) -> Any:
        return gevent_hub.get_hub().wait(watcher)

    def cancel_wait(self, *args: Any, **kwargs: Any) -> Any:
        return gevent_hub.get_hub().cancel_wait(*args, **kwargs)

    def cancel_waits_close_and_then(self, *args: Any) -> Any:
        return gevent_hub.get_hub().cancel_waits_close_and_then(*args)

    @property
    def threadpool(self) -> Any:
        return gevent_hub.get_hub().threadpool

    @property
    def resolver(self) -> Any:
        return gevent_hub.get_hub().resolver


class _UnusedHub(_LeftHub):
    """The parent's hub in a child that will not need one: its first use makes the child leave."""

    def switch(self) -> Any:
        _leave_after_all()
        return super().switch()

    def wait(self, watcher: Any) -> Any:
        _leave_after_all()
        return super().wait(watcher)


class _UnusedLoop:
    """The parent's loop in such a child."""

    def __getattr__(self, name: str) -> Any:
        _leave_after_all()
        return getattr(gevent_hub.get_hub().loop, name)


def be_ready_to_leave(leave: Callable[[], None]) -> None:
    """Call `leave` at the first use of the hub, in a child that will not need one."""
    global _unused
    _unused = default_hub.loop, leave
    default_hub.__class__ = _UnusedHub
    default_hub.loop = _UnusedLoop()


def _leave_after_all() -> None:
    global _unused
    if _unused is not None:
        (loop, leave), _unused = _unused, None
        default_hub.__class__ = Hub
        default_hub.loop = loop
        leave()


class _End(_LeftHub):
    """Stands where the hub stood, as the parent of the greenlet that forked: control comes here
    when that greenlet has ended in the child, before anything that waits for its end."""

    def __init__(self, hub: Hub, home: greenlet, parent: greenlet) -> None:
        super().__init__(hub.loop)
        self.parent = parent
        self._home = home
        greenlet.switch(self)  # to throw into one that has not begun is not to run it

    def run(self) -> None:
        try:
            self._home.switch()
        except BaseException as error:
            end_child(error)
        end_child()

    def handle_error(self, context: Any, kind: Any, error: Any, tb: Any) -> None:
        end_child(error)


def leave_hub(current: greenlet) -> None:
    """Give the child a hub and a default loop of its own.

    The old loop is destroyed first, for there can be one default loop only; and without its hub,
    whose greenlet stands within that loop and must never run again.
    """
    global default_hub
    chain = [current]
    while (parent := chain[-1].parent) is not None and not isinstance(parent, Hub):
        chain.append(parent)
    threads_own = _hub_local.get_hub_if_exists()
    left = {id(hub): hub for hub in (default_hub, threads_own) if hub is not None}
    native = parent is None and gevent_hub.get_thread_ident() != default_hub.thread_ident
    for hub in left.values():
        _gone.append(hub.loop)
        hub.loop.destroy()
    _hub_local.set_hub(None)
    _hub_local.set_loop(None)
    gevent_hub.MAIN_THREAD_IDENT = gevent_hub.get_thread_ident()
    hub = default_hub = Hub(default=True)
    while hub.loop.activecnt:  # libev keeps the count of the destroyed loop: it would wait for ever
        hub.loop.unref()
    _hub_local.set_hub(hub)
    for other in left.values():
        other.__class__ = _LeftHub
        _left.append(other)
    for other in _left:
        other.loop = hub.loop
        other.thread_ident = hub.thread_ident
    if parent is not None:
        root = parent
        while root.parent is not None:
            root = root.parent
        end = _End(hub, current, root)
        chain[-1].parent = end
        _left.append(end)
        _end_with_thread(sys._getframe())
    elif native:
        _end_with(_outermost(sys._getframe()))
    settrace(_Park(hub, chain))
    _take_along()


class _Park:
    """Keeps the greenlets of the parent where they stood: called with each switch in the child.

    The loop does not know them any more. But they wait for locks and queues that the child may
    release, and a release switches to the greenlet that waits.
    """

    def __init__(self, hub: Hub, chain: list[greenlet]) -> None:
        self._hub = hub
        self._chain = chain

    def __call__(self, event: str, switch: tuple[greenlet, greenlet]) -> None:
        target = switch[1]
        if target.parent is self._hub or not self._is_left(target):
            return
        while True:
            with suppress(BaseException):  # it may be killed in the child, too
                self._hub.switch()

    def _is_left(self, target: greenlet) -> bool:
        greenlet_ = target
        while greenlet_ is not None and greenlet_ is not self._hub:
            if greenlet_ in self._chain or isinstance(greenlet_, _End):
                return False
            greenlet_ = greenlet_.parent
        return greenlet_ is None


def _end_with_thread(frame: FrameType | None) -> None:
    """End where control comes back to `threading` or an executor, which keep what was raised."""
    while frame is not None:
        if frame.f_code is _WorkItem.run.__code__:
            future = frame.f_locals["self"].future
            future.set_result = lambda result: end_child()
            future.set_exception = end_child
        elif frame.f_code is _BOOTSTRAP_THREAD.__code__:
            thread = frame.f_locals["self"]
            thread._invoke_excepthook = lambda thread: end_child(sys.exception())
        frame = frame.f_back


_BOOTSTRAP_THREAD: Any = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]


# A fork in a native thread


def _outermost(frame: FrameType) -> FrameType:
    """The user's own function in this thread: its end is the end of the child."""
    while (caller := frame.f_back) is not None:
        if caller.f_globals is vars(threadpool):
            return frame
        frame = caller
    return frame


def _end_with(frame: FrameType) -> None:
    """End the process when `frame` does: nothing else sees the end of a native thread. The child
    is traced for that, and so is slower."""
    raised: list[BaseException] = []

    def watch(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "exception":
            raised[:] = [arg[1].with_traceback(arg[2])]
        elif event == "return":
            code = frame.f_code.co_code
            returns = opname[code[frame.f_lasti]].startswith("RETURN")
            end_child(None if returns or not raised else raised[0])
        return watch

    frame.f_trace = watch
    sys.settrace(lambda frame, event, arg: None)


# Objects that the job made before it forked


def _take_along() -> None:
    """Let the child use the sockets that the job had, as children do that talk with their parent;
    and leave a `with gevent.Timeout` in which it forked. Their watchers died with the old loop."""
    _renew(SocketMixin, "_read_event", lambda old: gevent_hub.get_hub().loop.io(old.fd, 1))
    _renew(SocketMixin, "_write_event", lambda old: gevent_hub.get_hub().loop.io(old.fd, 2))
    _renew(Timeout, "timer", lambda old: _FakeTimer)


def _renew(owner: type, name: str, renewed: Callable[[Any], Any]) -> None:
    """`owner.name` becomes a property that replaces what belongs to a loop that is gone."""
    slot = vars(owner).get(name)
    if isinstance(slot, property):
        return  # a child of a child

    def get(self: Any) -> Any:
        value = slot.__get__(self) if slot else vars(self)[name]
        if getattr(value, "loop", None) in _gone:
            value = renewed(value)
            put(self, value)
        return value

    def put(self: Any, value: Any) -> None:
        if slot:
            slot.__set__(self, value)
        else:
            vars(self)[name] = value

    setattr(owner, name, property(get, put))
