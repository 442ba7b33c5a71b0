"""Required beside the jobs: a heartbeat that stands still for three seconds, not for a minute, is
that of a dead process, and who may be dead is looked for at every tick."""

from gresque.master import forks
from gresque.worker import heartbeat, judge

judge.PRUNE_SECONDS = 3
judge.LOOK_SECONDS = 0.3
heartbeat.BEAT_SECONDS = 0.5
forks.LOOK_FOR_DEAD_SECONDS = 0.5
