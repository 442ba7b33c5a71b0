"""One job in the API, wherever it is."""

from __future__ import annotations

import msgspec

from gresque.web.api import shapes
from gresque.web.api.failed import shown, shown_args
from gresque.web.pages.job import find_job


def job(query: shapes.OfJob) -> shapes.Job:
    """One job by its id, wherever it is, with what is known of its way.

    Nothing is kept of jobs that succeed, unless they are tracked: these are `gone`. Failed jobs are
    searched from the newest on; ask again while `is_searched` is false.
    """
    found = find_job(query.id)
    return shapes.Job(
        id=query.id,
        state=found.state,
        is_searched=found.is_searched,
        job_class=found.name or None,
        args=shown_args(found.item),
        queue=found.queue or None,
        process=found.running.process if found.running else None,
        seconds=found.running.seconds if found.running else None,
        failed=shown(found.failed) if found.failed else None,
        progress=found.status.progress if found.status else None,
        result=msgspec.json.decode(found.result) if found.result else None,
        steps=[shapes.JobStep(step.at, step.text) for step in found.steps],
    )
