"""A job module whose hook takes what only one process at a time can have."""

import fcntl
import os

import gresque

_lock = -1


@gresque.after_fork
def take_the_lock() -> None:
    global _lock
    _lock = os.open(os.environ["ONE_LOCK"], os.O_CREAT | os.O_RDWR)
    fcntl.flock(_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
