"""Verbs of apps."""

from __future__ import annotations

from dais.compute.apps.apps import Apps
from dais.compute.apps.types import App
from dais.compute.jobs.queries import find_job
from dais.compute.jobs.running import running_work
from dais.compute.jobs.types import Work
from dais.identity import Actor
from dais.kit.database import UnitOfWork


def running_app(
    uow: UnitOfWork, actor: Actor, apps: Apps, ref: str, name: str, account: str | None = None
) -> tuple[Work, App]:
    """A running job and one of its apps, or a port by its number, for reaching it.

    Raises NotFound (`no-such-job`, `no-such-app`), Forbidden unless the actor has the action that the app needs,
    Conflict `not-running`, Invalid `bad-port`.
    """
    work = running_work(uow, actor, ref, "job:get", account)
    app = apps.find(work, name)
    if app.action != "job:get":
        find_job(uow, actor, work.job_id, action=app.action)
    return work, app
