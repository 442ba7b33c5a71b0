"""What becomes of a process that a job forks: it runs the job's code only, and is no worker.

gevent resumes every greenlet of the parent in a forked child as soon as the child waits for
something: other jobs would run twice, and the child would speak on the connections of the worker.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures.thread import _WorkItem
from contextlib import suppress
from dis import opname
from types import FrameType
from typing import Any

from gevent import _hub_local, threadpool
from gevent import hub as gevent_hub
from gevent import os as gevent_os
from gevent._socketcommon import SocketMixin
from gevent.hub import Hub
from gevent.subprocess import Popen
from gevent.timeout import Timeout, _FakeTimer
from greenlet import getcurrent, greenlet, settrace

import gresque.stdio as stdio
from gresque.forked import drop_descriptors, end_child, enter_child, is_own_fork
from gresque.processes import stack_dump
from gresque.unpatched import original
from gresque.worker import handlers, multiprocessing_patch

SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGURG,
)
"""To which a worker process listens, or which it ignores."""

WATCHED_SECONDS = 1.0
"""How long a child that a native thread forks waits at most until the loop watches it."""

WAITPID_SECONDS = 0.005
ASK_AGAIN_SECONDS = 0.2
"""How often it is asked whether a child has ended, in other threads and in the main one."""

_EXECUTE_CHILD: Any = Popen._execute_child.__code__
_get_handler, _set_handler = original("signal", "getsignal"), original("signal", "signal")

_FORKS = {
    function.__code__
    for function in (
        gevent_os.fork_and_watch,
        gevent_os.posix_spawn,
        multiprocessing_patch.start_program,
    )
}
_one_fork: Any = original("_thread", "RLock")()
"""One native thread forks at a time. Hooks of the standard library take a lock of gevent's at each
fork, which is not made for two threads."""

_mask: set[signal.Signals] | set[int] | None = None
"""The signals that were blocked before the fork that is under way."""

_registered = False
_leave_worker: Callable[[greenlet], None] | None = None
"""Set in a worker process only. Without it user code forks in a master, or while it is imported."""
_default_hub: Any = None
"""The hub of the main thread: only its loop knows of signals and children."""
_unused_loop: Any = None
"""The parent's loop, while the child of this process may yet end without having used it."""
_gone: list[Any] = []
"""The loops of the processes before this one, destroyed."""
_left: list[_LeftHub] = []
"""Hubs of the processes before this one. To collect one would unwind every greenlet that waits on
it, and run the `finally` of every job."""


def watch_forks() -> None:
    """Call it right after gevent has patched: hooks that user modules register run after it."""
    global _registered
    if not _registered:
        _registered = True
        os.register_at_fork(
            before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
        )
        os.fork, os.waitpid = _fork, _waitpid


def be_worker(leave_worker: Callable[[greenlet], None]) -> None:
    """From now on this process is a worker: what user code forks from it is none.

    `leave_worker(current)` is called in each such child, before anything else can run.
    """
    global _leave_worker, _default_hub
    _leave_worker = leave_worker
    _default_hub = gevent_hub.get_hub()
    _default_hub.loop.reset_sigchld()  # the master's loop may have listened, if it has had one


def _before() -> None:
    global _mask
    _one_fork.acquire()
    if is_own_fork():
        return
    # One to the child must find its own handlers, not be taken for one to this process, and lost.
    _mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    stdio.flush()  # else the child writes it once more
    # gevent's fork listens to SIGCHLD from the first child on only when that has been forked: one
    # that ends at once would never be reaped, and whoever waits for it would wait for ever.
    if _leave_worker is not None:
        _default_hub.loop.install_sigchld()
    elif _in_main_thread():
        loop = gevent_hub.get_hub().loop
        loop.reset_sigchld()  # the master has set its own handler since
        loop.install_sigchld()


def _after_in_parent() -> None:
    _unmask()
    _one_fork.release()


def _unmask() -> None:
    global _mask
    if _mask is not None:
        mask, _mask = _mask, None
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _after_in_child() -> None:
    _one_fork._at_fork_reinit()
    if is_own_fork():
        return  # the master forks a worker process
    try:
        enter_child()
        if _runs_a_program(sys._getframe(1)):
            _reset_signals()
            if _leave_worker is not None:
                _be_ready_to_leave()
        else:
            _leave()
        _unmask()
    except BaseException:
        # Python would go on after a hook that failed, as a second worker.
        traceback.print_exc()
        os._exit(1)


def _runs_a_program(forks: FrameType) -> bool:
    """Whether this is a child of `subprocess` in which nothing runs but hooks like this one, until
    a program takes its place. To leave the worker took a third of the time of such a child."""
    caller = forks.f_back
    return (
        caller is not None
        and caller.f_code is _EXECUTE_CHILD
        and caller.f_locals["preexec_fn"] is None
    )


def _leave() -> None:
    current = getcurrent()
    if _leave_worker is not None:
        _leave_worker(current)
    _reset_signals()
    drop_descriptors()
    if _leave_worker is None:
        return  # a hook of the master, or an import: no greenlets of gresque's are here
    if isinstance(current, Hub):
        settrace(_refuse)
    else:
        _leave_hub(current)


def _reset_signals() -> None:
    """The worker's handlers go; those that the job has set stay."""
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)
    handlers.unprotect()
    faulthandler.unregister(stack_dump.SIGNAL)
    for number in SIGNALS:
        handler = handlers.bare(_get_handler(number))
        if not callable(handler) or _is_ours(handler):
            _set_handler(number, signal.SIG_DFL)


def _is_ours(handler: Any) -> bool:
    return str(getattr(handler, "__module__", "")).startswith("gresque.")


def _refuse(event: str, switch: Any) -> None:
    """The fork was made in a callback of the loop, where no other loop can take over."""
    sys.stderr.write(
        "gresque: a callback of gevent's loop has forked, and its child came back to the loop: it "
        "ends; fork in a greenlet, or end the child by os._exit()\n"
    )
    os._exit(1)


# The hub


class _LeftHub(Hub):  # type: ignore[misc]
    """The parent's hub in the child. Sockets, locks and greenlets of the parent refer to it: what
    they ask of it, the child's own hub does."""

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
    """As above, the loop."""

    def __getattr__(self, name: str) -> Any:
        _leave_after_all()
        return getattr(gevent_hub.get_hub().loop, name)


def _be_ready_to_leave() -> None:
    global _unused_loop
    _unused_loop = _default_hub.loop
    _default_hub.__class__ = _UnusedHub
    _default_hub.loop = _UnusedLoop()


def _leave_after_all() -> None:
    global _unused_loop
    if _unused_loop is not None:
        _default_hub.__class__ = Hub
        _default_hub.loop, _unused_loop = _unused_loop, None
        _leave()


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


def _leave_hub(current: greenlet) -> None:
    """Give the child a hub and a default loop of its own.

    The old loop is destroyed first, for there can be one default loop only; and without its hub,
    whose greenlet stands within that loop and must never run again.
    """
    global _default_hub
    chain = [current]
    while (parent := chain[-1].parent) is not None and not isinstance(parent, Hub):
        chain.append(parent)
    threads_own = _hub_local.get_hub_if_exists()
    left = {id(hub): hub for hub in (_default_hub, threads_own) if hub is not None}
    native = parent is None and gevent_hub.get_thread_ident() != _default_hub.thread_ident
    for hub in left.values():
        _gone.append(hub.loop)
        hub.loop.destroy()
    _hub_local.set_hub(None)
    _hub_local.set_loop(None)
    gevent_hub.MAIN_THREAD_IDENT = gevent_hub.get_thread_ident()
    hub = _default_hub = Hub(default=True)
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
    release, and a release switches to whoever waits.
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


def _fork() -> int:
    """gevent's fork can be called in the main thread only: in another one it forks and raises."""
    if _in_main_thread():
        return int(gevent_os.fork())
    watched, watching = os.pipe()
    pid: int = gevent_os.fork_gevent()
    # Until the loop knows of the child, nobody does, nor may it end: the loop would reap it unseen.
    if pid:
        _default_hub.loop.run_callback_threadsafe(_watch, pid, watching)
    else:
        os.close(watching)
    original("select", "select")([watched], [], [], WATCHED_SECONDS)
    os.close(watched)
    return pid


def forks_now(frame: FrameType | None) -> bool:
    """Whether `frame` is within a fork whose child the loop does not know of yet. If the loop
    turned now, it might reap that child, and who waits for it would wait for ever."""
    while frame is not None:
        if frame.f_code in _FORKS:
            return True
        frame = frame.f_back
    return False


def _watch(pid: int, watching: int) -> None:
    gevent_os._watch_child(pid)
    os.close(watching)


def _waitpid(pid: int, options: int) -> tuple[int, int]:
    """gevent's waitpid, in another thread than the main one without its loop.

    In the main thread it asks again now and then: gevent's misses the end of a child that the loop
    has reaped in the same turn, and would wait for ever.
    """
    if pid <= 0 or options & os.WNOHANG:
        return gevent_os.waitpid(pid, options)  # type: ignore[no-any-return]
    while not (ended := gevent_os.waitpid(pid, options | os.WNOHANG))[0]:
        if not _in_main_thread():
            original("time", "sleep")(WAITPID_SECONDS)
        elif pid not in gevent_os._watched_children:
            return gevent_os.waitpid(pid, options)  # type: ignore[no-any-return]
        else:
            with Timeout(ASK_AGAIN_SECONDS, False):
                return gevent_os.waitpid(pid, options)  # type: ignore[no-any-return]
    return ended  # type: ignore[no-any-return]


def _in_main_thread() -> bool:
    return bool(gevent_hub.get_thread_ident() == gevent_hub.MAIN_THREAD_IDENT)


# What the job made before it forked


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
