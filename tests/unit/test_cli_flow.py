"""`gresque pause`, `unpause`, `limit` and `limits`, as a user calls them."""

from __future__ import annotations

import json

import pytest
import redis

from gresque.store.policies import Rate
from gresque.store.store import Store
from tests.support.cli import Call
from tests.support.ledgers import hold
from tests.support.views import process, wait

UNSERVED = (
    "warning: no queue {} is known yet: nothing was ever pushed to it, and no worker serves it; "
    "check the name\n"
)


class TestPause:
    def test_queues(self, call: Call, store: Store, redis_client: redis.Redis) -> None:
        process(redis_client)
        wait(redis_client, "mail", b"{}")
        wait(redis_client, "bulk", b"{}", b"{}")
        assert call("pause", "mail", "bulk", "mail") == (
            0, "mail: paused; 1 job waits\nbulk: paused; 2 jobs wait\n", "",
        )  # fmt: skip
        assert call("pause", "mail").out == "mail: was paused already; 1 job waits\n"
        assert [*store.policies.read().policies] == ["bulk", "mail"]
        assert call("unpause", "mail") == (0, "mail: unpaused; 1 job waits\n", "")
        assert call("unpause", "mail").out == "mail: was not paused; 1 job waits\n"
        assert [*store.policies.read().policies] == ["bulk"]

    def test_one_that_nobody_serves(self, call: Call, redis_client: redis.Redis) -> None:
        process(redis_client)
        answer = call("pause", "mial")
        assert answer == (0, "mial: paused; 0 jobs wait\n", UNSERVED.format("mial"))
        wait(redis_client, "low", b"{}")
        assert call("pause", "low").err == "warning: no worker serves queue low\n"

    def test_one_before_the_first_worker(self, call: Call, redis_client: redis.Redis) -> None:
        unknown = (
            "warning: no queue {} is known yet: nothing was ever pushed to it; check the name\n"
        )
        assert call("pause", "mail") == (0, "mail: paused; 0 jobs wait\n", unknown.format("mail"))
        wait(redis_client, "mail", b"{}")
        assert call("pause", "mail").err == ""
        assert call("pause", "mial").err == unknown.format("mial")

    def test_one_that_a_worker_of_all_queues_serves(
        self, call: Call, redis_client: redis.Redis
    ) -> None:
        redis_client.sadd("resque:workers", "vm:10:*")
        assert "no queue mial is known yet" in call("pause", "mial").err
        assert call("limit", "other", "5").err == ""

    @pytest.mark.parametrize("name", ["mail-*", "mail,low", "!mail", "mail:5"])
    def test_what_only_a_list_of_queues_may_have(
        self, call: Call, redis_client: redis.Redis, name: str
    ) -> None:
        assert call("pause", name).err == (
            f"warning: {name!r} is taken as the name of one queue; name each queue by itself, "
            "patterns and lists are for gresque work -q\n"
        )
        wait(redis_client, name, b"{}")
        assert call("pause", name).err == ""

    def test_all(self, call: Call, redis_client: redis.Redis) -> None:
        assert call("pause", "--all") == (0, "all queues: paused\n", "")
        assert call("pause", "--all").out == "all queues: were paused already\n"
        assert redis_client.get("resque:pause-all-workers") == b"true"
        assert call("limits").out.startswith(
            "all queues are paused (pause-all-workers), for Resque's Ruby workers, too; "
            "to end that: gresque unpause --all\n"
        )
        call("pause", "mail")
        assert call("unpause", "mail").err == (
            "warning: all queues are paused still; to end that: gresque unpause --all\n"
        )
        call("pause", "a b")
        assert call("unpause", "--all") == (
            0, "all queues: unpaused\n",
            "warning: 1 queue paused by name stays so: gresque unpause 'a b'\n",
        )  # fmt: skip
        assert call("unpause", "--all").out == "all queues: were not paused\n"

    @pytest.mark.parametrize("command", ["pause", "unpause"])
    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ([], "name a queue, or give --all"),
            (["--all", "mail"], "give names or --all, not both"),
            ([""], "'' is not the name of a queue"),
            (["--redis", "redis://127.0.0.1:1", ""], "'' is not the name of a queue"),
        ],
    )
    def test_bad_input(
        self, call: Call, redis_client: redis.Redis, command: str, arguments: list[str], reason: str
    ) -> None:
        code, out, err = call(command, *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert reason in err
        assert redis_client.keys() == []


class TestLimit:
    def test_parts(self, call: Call, redis_client: redis.Redis) -> None:
        process(redis_client)
        assert call("limit", "mail", "20") == (0, "mail: at most 20 jobs at once\n", "")
        assert call("limit", "mail", "10").out == "mail: at most 10 jobs at once\n"
        assert call("limit", "mail", "100/m", "--burst", "5").out == (
            "mail: at most 10 jobs at once, 100/m in bursts of 5\n"
        )
        assert call("limit", "mail", "3", "5/s").out == (
            "mail: at most 3 jobs at once, 5/s evenly\n"
        )
        assert call("limit", "mail", "--no-cap").out == "mail: 5/s evenly\n"
        assert call("limit", "mail", "4", "--no-rate").out.startswith("mail: at most 4 jobs at")
        assert call("limit", "mail", "--off") == (0, "mail: no limits\n", "")
        assert not redis_client.exists("resque:policies")

    def test_a_first_cap_while_jobs_are_in_flight(
        self, call: Call, redis_client: redis.Redis
    ) -> None:
        mail, low = b"17%sresque:queue:mail{}", b"16:resque:queue:low{}"
        for each, values in {"p": [mail % b":", mail % b"+"], "q": [mail % b"@", low]}.items():
            hold(redis_client, each)
            redis_client.hset(f"resque:ledger:{each}", mapping=dict(enumerate(values)))  # type: ignore[arg-type]
        redis_client.hset("resque:inflight", "mail", 1)
        assert call("limit", "mail", "20").out == (
            "mail: at most 20 jobs at once\n2 jobs already in flight: not counted until their end\n"
        )
        assert call("limit", "mail", "10").out == "mail: at most 10 jobs at once\n"

    def test_a_cap_below_what_is_in_flight(self, call: Call, redis_client: redis.Redis) -> None:
        call("limit", "mail", "20")
        redis_client.hset("resque:inflight", "mail", 12)
        assert call("limit", "mail", "5").out == (
            "mail: at most 5 jobs at once\n"
            "12 jobs are in flight; none starts until fewer than 5 are\n"
        )

    def test_warnings(self, call: Call, redis_client: redis.Redis) -> None:
        process(redis_client)
        assert call("limit", "low", "5").err == UNSERVED.format("low")
        call("pause", "mail")
        call("pause", "--all")
        assert call("limit", "mail", "--off") == (
            0,
            "mail: paused\n",
            "warning: all queues are paused; to end that: gresque unpause --all\n"
            "warning: it is paused; to end that: gresque unpause mail\n",
        )

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["0"], "a cap of 0 is a pause"),
            (["-5"], "a cap is a whole number from 1"),
            (["5.5"], "'5.5' is no limit; give a cap such as 20, or a rate such as 100/m"),
            (["many"], "'many' is no limit"),
            (["5_0"], "'5_0' is no limit"),
            (["٥"], "'٥' is no limit"),
            (["--brust"], "'--brust' is no limit"),
            (["0/s"], "starts no job"),
            (["5/d"], "'5/d' is no rate"),
            (["-5/s"], "'-5/s' is no rate"),
            (["5", "6"], "5 and 6 are two caps; give one"),
            (["5/s", "6/s"], "5/s and 6/s are two rates; give one"),
            (["--burst", "5"], "--burst belongs to a rate"),
            (["20", "--burst", "5"], "--burst belongs to a rate"),
            (["5/s", "--burst", "0"], "burst is a whole number from 1"),
            (["5/s", "--burst", "x"], "'x' is not a valid integer"),
            ([], "give a cap such as 20, a rate such as 100/m, or --off"),
            (["5", "--off"], "a limit is both set and removed"),
            (["5/s", "--no-rate"], "a limit is both set and removed"),
        ],
    )
    def test_bad_input(
        self, call: Call, redis_client: redis.Redis, arguments: list[str], reason: str
    ) -> None:
        code, out, err = call("limit", "mail", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert reason in err
        assert redis_client.keys() == []


class TestLimits:
    def test_none(self, call: Call) -> None:
        assert call("limits") == (0, "no queue is paused or limited\n", "")
        assert json.loads(call("limits", "--json").out) == {
            "all_paused": False, "queues": [], "workers": [],
        }  # fmt: skip

    def test_a_table(self, call: Call, store: Store, redis_client: redis.Redis) -> None:
        store.policies.pause("bulk")
        store.policies.limit("mail", cap=20, rate=Rate(100, 60_000, 10))
        redis_client.hset("resque:inflight", "mail", 20)
        redis_client.hset("resque:policies", "new", b"zz \xff\x1b")
        redis_client.hset("resque:rates", "mail", (int(redis_client.time()[0]) + 9000) * 1_000_000)
        wait(redis_client, "mail", *[b"{}"] * 1_200)
        assert call("limits").out.splitlines() == [
            "QUEUE  PAUSED  CAP  IN FLIGHT  RATE   BURST  NEXT START  WAITING",
            "bulk   yes     -    -          -      -      -                 0",
            "mail   -       20   20         100/m  10     2.5 h         1,200",
            "new    -       -    -          -      -      -                 0",
            r"new: unknown words in its policy are ignored: zz \xff\x1b",
        ]
        found = json.loads(call("limits", "--json").out)
        assert [each["queue"] for each in found["queues"]] == ["bulk", "mail", "new"]
        assert found["queues"][1]["waiting"] == 1_200

    def test_caps_of_workers(self, call: Call, redis_client: redis.Redis) -> None:
        worker = "vm:10:mail:2:4:100"
        redis_client.sadd("resque:queues", "mail")
        redis_client.hset(
            "resque:vitals", f"{worker}:11:5",
            b'{"state":"ready","threads":0,"held":0,"lag":0,"started":1,"queues":"mail:50%",'
            b'"version":"1"}',
        )  # fmt: skip
        redis_client.hset(f"resque:inflight:{worker}", "mail", 3)
        assert call("limits").out.splitlines() == [
            "no queue is paused or limited",
            "",
            "WORKER              QUEUE  CAP  IN FLIGHT",
            f"{worker}  mail     4          3",
        ]

    def test_verify(self, call: Call, redis_client: redis.Redis) -> None:
        assert call("limits", "--verify").out.splitlines() == [
            "no queue is paused or limited",
            "",
            "verified: no count of jobs in flight had to be corrected",
        ]
        redis_client.hset("resque:inflight", "mail", 3)
        assert json.loads(call("limits", "--verify", "--json").out)["corrected"] == [
            {"counter": "resque:inflight", "queue": "mail", "counted": "3", "held": 0}
        ]
        assert not redis_client.exists("resque:inflight")
        redis_client.hset("resque:inflight", "mail", 1)
        assert call("limits", "--verify").out.endswith(
            "corrected: resque:inflight said 1 for queue mail, 0 in flight\n"
        )
        assert "corrected" not in json.loads(call("limits", "--json").out)
