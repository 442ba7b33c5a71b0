"""Required beside the jobs: suspects are on trial for half a second, not for a minute."""

from gresque.worker import trial

trial.ON_TRIAL_SECONDS = 0.5
trial.LOOK_SECONDS = 0.1
