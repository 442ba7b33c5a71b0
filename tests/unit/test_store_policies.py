"""Policies of queues: their text, and changes that lose no other part."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from gresque.errors import GresqueError
from gresque.store.policies import Policy, Rate, checked_cap, checked_queue, pauses_all
from gresque.store.store import Store
from tests.support.server import OwnServer

# text, burst, rate, as it is shown
RATES = [
    ("100/m", None, Rate(100, 60_000, 1), "100/m"),
    ("100/s", None, Rate(100, 1_000, 10), "100/s"),
    ("5/s", None, Rate(5, 1_000, 1), "5/s"),
    ("1000/h", 10, Rate(1000, 3_600_000, 10), "1000/h"),
    ("2/30s", None, Rate(2, 30_000, 1), "2/30s"),
    ("2/60s", 2, Rate(2, 60_000, 2), "2/m"),
    (" 7/5m ", None, Rate(7, 300_000, 1), "7/5m"),
    ("7/90m", None, Rate(7, 5_400_000, 1), "7/90m"),
    ("1000000/s", None, Rate(1_000_000, 1_000, 100_000), "1000000/s"),
    ("1/744h", None, Rate(1, 2_678_400_000, 1), "1/744h"),
]


@pytest.mark.parametrize(("text", "burst", "rate", "shown"), RATES, ids=[r[0] for r in RATES])
def test_rates(text: str, burst: int | None, rate: Rate, shown: str) -> None:
    assert Rate.parse(text, burst) == rate
    assert rate.text == shown
    assert Policy.parse(rate.word.encode()).rate == rate


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no rate"), ("100", "is no rate"), ("100/", "is no rate"), ("/m", "is no rate"),
        ("100/d", "is no rate"), ("1.5/s", "is no rate"), ("-1/s", "is no rate"),
        ("100 / m", "is no rate"), ("5/1.5s", "is no rate"), ("٥/s", "is no rate"),
        (5, "is no rate"), (None, "is no rate"),
        ("0/s", "starts no job; to stop the queue, pause it"),
        ("5/0s", "its time is from 1s to 744h"), ("5/745h", "its time is from 1s to 744h"),
        ("1000001/s", "is above 1,000,000 jobs a second; leave it out"),
    ],
)  # fmt: skip
def test_bad_rates(text: str, reason: str) -> None:
    with pytest.raises(GresqueError) as caught:
        Rate.parse(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize("burst", [0, -1, 1.5, True, "5", 10**9 + 1])
def test_bad_bursts(burst: int) -> None:
    with pytest.raises(GresqueError, match="burst is a whole number from 1"):
        Rate.parse("5/s", burst)


@pytest.mark.parametrize("cap", [0, -1, 1.5, True, "5", None, 10**9 + 1])
def test_bad_caps(cap: object) -> None:
    text = "a cap of 0 is a pause" if cap == 0 else "a cap is a whole number from 1 to"
    with pytest.raises(GresqueError, match=text):
        checked_cap(cap)


@pytest.mark.parametrize("name", ["", None, 5, b"mail", "\ud800"])
def test_what_is_no_name_of_a_queue(name: object) -> None:
    with pytest.raises(GresqueError, match="is not the name of a queue"):
        checked_queue(name)


def test_when_a_rate_starts_the_next_job() -> None:
    rate = Rate(10, 1_000, 3)  # one each 100 ms
    now = 5_000_000
    assert rate.next_in_ms(0, now) == 0
    assert rate.next_in_ms(now + 200_000, now) == 0, "two of a burst of three have started"
    assert rate.next_in_ms(now + 300_000, now) == 100
    assert rate.next_in_ms(now + 250_000, now) == 50


# text, what it says
POLICIES = [
    (b"", Policy()),
    (b"p", Policy(paused=True)),
    (b"c20", Policy(cap=20)),
    (b"r100/60000b10", Policy(rate=Rate(100, 60_000, 10))),
    (b"r5/1000b1 c2 p", Policy(True, 2, Rate(5, 1_000, 1))),
    (b" p   c2 ", Policy(True, 2)),
    (b"p\tc2", Policy(unread=("p\tc2",))),
    (b"c05", Policy(unread=("c05",))),
    (b"p m k", Policy(True, unread=("m", "k"))),
    (b"c0", Policy(unread=("c0",))),
    (b"c-5 cx c1.5", Policy(unread=("c-5", "cx", "c1.5"))),
    (b"c2 c3", Policy(cap=2, unread=("c3",))),
    (b"r0/1000b1 r5/0b1 r5/1000b0 r5/1000", Policy(
        unread=("r0/1000b1", "r5/0b1", "r5/1000b0", "r5/1000"))),
    (b"pp P \xff", Policy(unread=("pp", "P", "\udcff"))),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "policy"), POLICIES, ids=[repr(row[0]) for row in POLICIES])
def test_texts(raw: bytes, policy: Policy) -> None:
    assert Policy.parse(raw) == policy


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (Policy(), "no limits"),
        (Policy(True, 1), "paused, at most 1 job at once"),
        (Policy(False, 2000, Rate(5, 1_000, 1)), "at most 2,000 jobs at once, 5/s evenly"),
        (Policy(rate=Rate(100, 60_000, 10)), "100/m in bursts of 10"),
    ],
)
def test_what_people_read(policy: Policy, text: str) -> None:
    assert str(policy) == text


def test_a_change_leaves_the_rest(store: Store, redis_client: redis.Redis) -> None:
    policies, text = store.policies, lambda: redis_client.hget("resque:policies", "mail")
    assert policies.pause("mail") and not policies.pause("mail")
    assert text() == b"p"
    change = policies.limit("mail", cap=20)
    assert change == (Policy(True), Policy(True, 20))
    policies.limit("mail", rate=Rate(100, 60_000, 10))
    assert text() == b"p c20 r100/60000b10"
    policies.limit("mail", cap=5)
    assert Policy.parse(text() or b"") == Policy(True, 5, Rate(100, 60_000, 10))
    assert policies.unpause("mail") and not policies.unpause("mail")
    policies.limit("mail", drop="r")
    assert text() == b"c5"
    policies.limit("mail", drop="c")
    assert redis_client.keys() == []


def test_a_word_of_a_newer_version_stays(store: Store, redis_client: redis.Redis) -> None:
    redis_client.hset("resque:policies", "mail", "m p c5 x9")
    store.policies.unpause("mail")
    store.policies.limit("mail", cap=7)
    assert redis_client.hget("resque:policies", "mail") == b"m x9 c7"


def test_changes_at_once_lose_nothing(store: Store, redis_client: redis.Redis) -> None:
    names = [f"q{number}" for number in range(100)]
    acts = [
        store.policies.pause,
        lambda name: store.policies.limit(name, cap=3),
        lambda name: store.policies.limit(name, rate=Rate(5, 1_000, 1)),
    ]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda act: [act(name) for name in names], acts))
    assert {*store.policies.read().policies.values()} == {Policy(True, 3, Rate(5, 1_000, 1))}


def test_another_rate_begins_with_a_full_burst(store: Store, redis_client: redis.Redis) -> None:
    """Else a rate of 1/h would hold up the jobs of the next rate for an hour."""
    one = Rate(1, 3_600_000, 1)
    store.policies.limit("mail", rate=one)
    redis_client.hset("resque:rates", "mail", 9)
    store.policies.limit("mail", rate=one)
    store.policies.pause("mail")
    store.policies.limit("mail", cap=3)
    assert redis_client.hget("resque:rates", "mail") == b"9", "it is the same rate"
    store.policies.limit("mail", rate=Rate(100, 60_000, 1))
    assert not redis_client.exists("resque:rates")
    redis_client.hset("resque:rates", "mail", 9)
    store.policies.limit("mail", drop="r")
    assert not redis_client.exists("resque:rates")


@pytest.mark.parametrize("value", [b"true", b"TRUE", b" True\n"])
def test_what_pauses_all_as_resque_reads_it(value: bytes) -> None:
    assert pauses_all(value)
    assert not any(map(pauses_all, (None, b"", b"false", b"1", b"yes")))


def test_pausing_all(store: Store, redis_client: redis.Redis) -> None:
    assert not store.policies.read().all_paused
    assert store.policies.pause_all() and not store.policies.pause_all()
    assert redis_client.get("resque:pause-all-workers") == b"true"
    found = store.policies.read()
    assert found.all_paused and found.is_paused("mail") and not found.policies
    assert store.policies.unpause_all() and not store.policies.unpause_all()
    assert redis_client.keys() == []


def test_a_snapshot(store: Store, redis_client: redis.Redis) -> None:
    store.policies.limit("mail", cap=2, rate=Rate(10, 1_000, 1))
    redis_client.hset("resque:inflight", mapping={"mail": 2, b"\xff": 1, "odd": "x"})
    later = int(redis_client.time()[0] + 100) * 1_000_000
    redis_client.hset("resque:rates", "mail", later)
    found = store.policies.read()
    assert found.in_flight == {"mail": 2, "\udcff": 1}
    assert found.is_full("mail") and not found.is_full("low")
    assert 80 < found.next_in("mail") <= 100
    assert found.next_in("low") == 0
    assert not found.is_paused("mail")


def test_keys_of_another_type_count_as_empty(store: Store, redis_client: redis.Redis) -> None:
    for name in ("policies", "inflight", "rates"):
        redis_client.set(f"resque:{name}", "x")
    redis_client.lpush("resque:pause-all-workers", "x")
    found = store.policies.read()
    assert (found.all_paused, found.policies, found.in_flight, found.tats) == (False, {}, {}, {})


def test_pausing_when_redis_is_full(own: OwnServer) -> None:
    """A flood of jobs is a reason to pause, and no script that only writes could do it then."""
    client = redis.Redis(unix_socket_path=str(own.socket))
    store = Store(f"unix://{own.socket}", "resque")
    client.config_set("maxmemory", 1)
    with pytest.raises(redis.ResponseError, match="maxmemory"):
        client.set("a", "b")
    assert store.policies.pause("mail")
    assert store.policies.limit("mail", cap=3).after == Policy(True, 3)
    assert store.policies.pause_all()
    assert store.policies.read().all_paused
    store.close()


@pytest.mark.parametrize("key", ["policies", "rates", "pause-all-workers"])
def test_a_key_of_another_program_is_named(
    store: Store, redis_client: redis.Redis, key: str
) -> None:
    redis_client.rpush(f"resque:{key}", "x")
    changes = {
        "policies": lambda: store.policies.pause("mail"),
        "rates": lambda: store.policies.limit("mail", rate=Rate(5, 1_000, 1)),
        "pause-all-workers": store.policies.pause_all,
    }
    remedy = "is not a (hash|string), as gresque needs it: rename or delete that key"
    with pytest.raises(GresqueError, match=f"nothing is changed: resque:{key} {remedy}"):
        changes[key]()
    assert redis_client.keys() == [f"resque:{key}".encode()]
    assert store.policies.read().in_the_way == (f"resque:{key}",)
