"""Forks of user code: what stays with the parent, and how the child ends.

Imports neither gevent nor redis-py: the master uses it, too.
"""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import gresque.stdio as stdio

_generation = 0
"""How many forks of user code lie between a master or worker process and this one."""

_forks_own = False

_owners: WeakKeyDictionary[Any, Callable[[Any], Iterable[int]]] = WeakKeyDictionary()
_descriptors: set[int] = set()


def fork_own(fork: Callable[[], int]) -> int:
    """Fork a process of gresque's own, in which `is_own_fork` says so to hooks."""
    global _forks_own
    _forks_own = True
    try:
        return fork()
    finally:
        _forks_own = False


def is_own_fork() -> bool:
    """Whether the fork under way is gresque's own, and not one of user code."""
    return _forks_own


def enter_child() -> None:
    """In the child of a fork that user code made, before anything else."""
    global _generation
    _generation += 1
    atexit._clear()  # those of the worker


def own(descriptor: int) -> None:
    """A child of user code gets /dev/null in place of this descriptor, until `disown`."""
    _descriptors.add(descriptor)


def disown(descriptor: int) -> None:
    """Call it before the descriptor is closed: its number may then become another file's."""
    _descriptors.discard(descriptor)


def own_those_of(owner: Any, descriptors: Callable[[Any], Iterable[int]]) -> None:
    """As `own`, for what `descriptors(owner)` returns at the fork, for as long as the owner
    lives."""
    _owners[owner] = descriptors


def drop_descriptors() -> None:
    """In the child. The numbers stay taken: the objects that had them close them some time, and
    must not close a file of the child's."""
    numbers = set(_descriptors)
    for owner, descriptors in list(_owners.items()):
        with suppress(Exception):  # of redis-py, which the fork may have interrupted anywhere
            numbers.update(descriptors(owner))
    _descriptors.clear()
    _owners.clear()
    null = os.open(os.devnull, os.O_RDWR)
    for number in numbers:
        if number > 2:
            os.dup2(null, number, inheritable=False)
    os.close(null)


def call_user_code(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call user code. Should it fork, the child ends here."""
    at_start = _generation
    try:
        result = function(*args, **kwargs)
    except BaseException as error:
        if _generation != at_start:
            end_child(error)
        raise
    if _generation != at_start:
        end_child()
    return result


def end_processes(limit: Callable[[], AbstractContextManager[Any]] = nullcontext) -> None:
    """The work of Python at the end of a program for `multiprocessing` and executors, which
    `os._exit` leaves out: executors finish their work, pools and managers end, daemon processes
    are terminated, queues are written out. Other processes go on.

    `limit()` bounds each of two waits, and raises nothing at its end. The processes of an executor
    that are left then are terminated: they would wait for work for ever.
    """
    here = os.getpid()
    executors = _executors(here)
    util: Any = sys.modules.get("multiprocessing.util")
    if util is None or not (executors or util.process._children or util._finalizer_registry):
        return  # at once: a process may live for a single job
    with limit():
        for thread in executors:
            thread.thread_wakeup.wakeup()
        for thread in executors:
            thread.join()
        util._run_finalizers(0)
    idle = {process for thread in executors for process in list(thread.processes.values())}
    for process in list(util.process._children):
        mine = process._parent_pid == here and (process.daemon or process in idle)
        if mine and process.exitcode is None:
            process.terminate()
    with limit():
        util._run_finalizers()


def _executors(here: int) -> list[Any]:
    """The threads that manage the process pools that this process has made."""
    module: Any = sys.modules.get("concurrent.futures.process")
    if module is None:
        return []
    module._global_shutdown = True
    return [
        thread
        for thread in list(module._threads_wakeups)
        if any(process._parent_pid == here for process in list(thread.processes.values()))
    ]


def end_child(error: BaseException | None = None) -> NoReturn:
    """End this process, as Python ends at the end of a program; `error` is what came out of the
    user code. Only exit handlers that were registered in this process run."""
    status = 1
    try:
        status = _status(error)
        try:
            end_processes()
        except Exception:
            traceback.print_exc()
        atexit._run_exitfuncs()
    finally:
        with suppress(Exception):
            stdio.finish()
        os._exit(status)


def _status(error: BaseException | None) -> int:
    if error is None:
        return 0
    if not isinstance(error, SystemExit):
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1
