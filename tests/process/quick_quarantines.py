"""Required beside the jobs: suspects are in quarantine for half a second, not for a minute."""

from gresque.worker import quarantine

quarantine.IN_QUARANTINE_SECONDS = 0.5
quarantine.CHECK_SECONDS = 0.1
