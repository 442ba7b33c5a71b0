"""Required beside the jobs: a process is dead when its heartbeat has not changed for 8 s, not for a
minute; much longer than a busy machine keeps a live one from beating. The maintenance process looks
for the dead all the time."""

from gresque.maintenance import judge, siblings
from gresque.worker.native import heartbeat

judge.PRUNE_SECONDS = 8
judge.LOOK_SECONDS = 0.3
siblings.LOOK_SECONDS = 0.3
heartbeat.BEAT_SECONDS = 0.5
