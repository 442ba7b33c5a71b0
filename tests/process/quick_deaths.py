"""Required beside the jobs: a process is dead when its heartbeat has not changed for 8 s, not for a
minute; much longer than a busy machine keeps a live one from beating. Who is dead is looked for at
every tick."""

from gresque.master import spawner
from gresque.processes import judge
from gresque.worker.native import heartbeat

judge.PRUNE_SECONDS = 8
judge.LOOK_SECONDS = 0.3
heartbeat.BEAT_SECONDS = 0.5
spawner.LOOK_FOR_DEAD_SECONDS = 0.5
