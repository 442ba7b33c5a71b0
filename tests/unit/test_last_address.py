"""The address that all processes of a master know."""

from __future__ import annotations

import os

from gresque.connection.sentinels import Sentinels
from gresque.connection.topology import topology_of
from gresque.processes.last_address import BYTES, SharedAddress, share_addresses


def test_any_process_writes_it_and_all_read_it() -> None:
    last = SharedAddress()
    assert last.get() is None
    pid = os.fork()
    if pid == 0:
        last.set(("redis-1.example.org", 6379))
        os._exit(0)
    os.waitpid(pid, 0)
    assert last.get() == ("redis-1.example.org", 6379)
    last.set(("::1", 1))
    assert last.get() == ("::1", 1)
    last.set(("höst", 65535))
    assert last.get() == ("höst", 65535)


def test_one_that_is_half_written_is_unknown() -> None:
    last = SharedAddress()
    last.set(("10.0.0.1", 6379))
    whole = last._memory[:]
    last.set(("10.0.0.22", 6380))
    other = last._memory[:]
    for half in range(1, 17):
        last._memory[:] = whole[:half] + other[half:]
        assert last.get() in (None, ("10.0.0.22", 6380))
    last._memory[:] = b"\xff" * BYTES
    assert last.get() is None


def test_one_that_does_not_fit_leaves_the_other() -> None:
    last = SharedAddress()
    last.set(("a", 1))
    last.set(("x" * 100, 1))
    last.set(("\udcff", 1))
    assert last.get() == ("a", 1)
    longest = "x" * (BYTES - 4 - len(" 65535"))
    last.set((longest, 65535))
    assert last.get() == (longest, 65535)


def test_each_place_has_one_of_its_own() -> None:
    one = ("redis+sentinel://shared/one", "resque")
    two = ("redis+sentinel://shared/two", "resque")
    share_addresses([one, two, ("redis://h", "resque")])
    topologies = topology_of(*one), topology_of(*two)
    assert all(isinstance(topology, Sentinels) for topology in topologies)
    topologies[0].last.set(("a", 1))
    assert (topologies[0].last.get(), topologies[1].last.get()) == (("a", 1), None)
