"""Jobs that log, in an application that configures logging as CONFIGURE says."""

from __future__ import annotations

import logging
import logging.config
import os
import sys

import gevent

import gresque
from tests.process.job_store import store

log = logging.getLogger("app.jobs")
library = logging.getLogger("library.http")
logging.getLogger("library").addHandler(logging.NullHandler())
OWN_FORMAT = "own format: %(name)s %(message)s"
CONFIGURE = os.environ.get("CONFIGURE")

log.info("while imported")
if CONFIGURE == "basicConfig":
    logging.basicConfig(format=OWN_FORMAT, stream=sys.stdout)


def dict_config() -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "formatters": {"own": {"format": OWN_FORMAT}},
            "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
            "root": {"level": "WARNING", "handlers": ["own"]},
        }
    )
    log.disabled = library.disabled = False


if CONFIGURE == "dictConfig":
    dict_config()


@gresque.before_first_fork
def configure_in_the_master() -> None:
    if CONFIGURE == "before_first_fork":
        logging.basicConfig(format=OWN_FORMAT, stream=sys.stdout)


@gresque.after_fork
def configure() -> None:
    if CONFIGURE == "after_fork":
        logging.basicConfig(format=OWN_FORMAT, stream=sys.stdout)


@gresque.job(queue="q", name="Logs")
def logs(text: str) -> None:
    if CONFIGURE == "in the job":
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter(OWN_FORMAT))
        logging.getLogger().addHandler(handler)
    if CONFIGURE == "dictConfig in the job":
        dict_config()
    log.debug("a debug record")
    log.info("its own %s", text)
    gevent.spawn(library.warning, "of a library").join()
    gevent.get_hub().threadpool.apply(library.info, ("in a native thread",))
    job = gresque.current_job()
    assert job is not None
    job.log.warning("by its logger", extra={"size": 3})
    log.warning("user's own", extra={"queue": "mine", "job": 7})
    print("printed\n", end="")  # in one piece, beside what other threads log
    gevent.get_hub().loop.run_callback(log.warning, "beside the job")
    gevent.sleep(0.01)


@gresque.job(name="LateBoom")
def late_boom() -> None:
    store().blpop("go")
    raise ValueError("late")


@gresque.job(queue="q", name="LogsAndFails")
def logs_and_fails() -> None:
    log.warning("before it fails")
    raise ValueError("as told")
