"""A process for each job and nothing more: fork, connect, reserve, run, settle, exit. One standby
has connected and waits for its turn, as the next process of a gresque worker does.

    python -m benchmarks.floor.forking
"""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
from pathlib import Path  # noqa: E402

import msgspec  # noqa: E402
import redis  # noqa: E402

from benchmarks.floor.least_cycle import Payload, noop  # noqa: E402
from benchmarks.peers import body  # noqa: E402

decode = msgspec.json.Decoder(Payload).decode
script = Path(__file__).with_name("cycle.lua").read_text()


def fork(sha: str) -> tuple[int, int]:
    """Its pid, and the pipe that lets it begin."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(read)
        return pid, write
    os.close(write)
    os._exit(live(sha, read))


def live(sha: str, begin: int) -> int:
    """The life of one process: 0 when there was a job."""
    connection = redis.Redis.from_url(body.REDIS_URL).connection_pool.get_connection()
    os.read(begin, 1)
    key = f"resque:ledger:{os.getpid()}"
    counts = ("resque:stat:processed", f"resque:stat:processed:{os.getpid()}")
    keys = (4, key, *counts, "resque:queue:floors")
    connection.send_command("EVALSHA", sha, *keys, 1, 1, 0, b"0")
    jobs = connection.read_response()
    for raw in jobs:
        payload = decode(raw)
        noop(*payload.args)
        connection.send_command("EVALSHA", sha, *keys, 2, 0, 1, b"0")
        connection.read_response()
    return 0 if jobs else 1


def main() -> None:
    client = redis.Redis.from_url(body.REDIS_URL)
    sha = client.script_load(script)
    client.close()
    following = fork(sha)
    status = 0
    while status == 0:
        pid, begin = following
        os.write(begin, b"1")
        os.close(begin)
        following = fork(sha)
        _, status = os.waitpid(pid, 0)
    os.kill(following[0], 9)


if __name__ == "__main__":
    main()
