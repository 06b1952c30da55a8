"""Session jobs: what code runs in when no job is named. One for each user and account, made when it is missing."""

from __future__ import annotations

import msgspec

from dais.compute.code.warm import COMMAND, WARM_TOPIC, adopt
from dais.compute.jobs.queries import JobFilter, get_job, list_jobs
from dais.compute.jobs.submit import submit_job
from dais.compute.settings import ComputeSettings
from dais.identity import Actor, resolve_account
from dais.kit.database import UnitOfWork
from dais.kit.errors import Conflict
from dais.wire import answers
from dais.wire.code import SESSION_TAG, NewCodeSession
from dais.wire.spec import JobSpec, Resources


def find_session(uow: UnitOfWork, actor: Actor, account: str | None = None) -> answers.JobDetail | None:
    """The actor's live session in an account; None when there is none. Raises NotFound, Forbidden."""
    wanted = JobFilter(
        account=account or resolve_account(uow, actor, None).full_name,
        owner_id=actor.id,
        states=("alive",),
        type="interactive",
        tag=SESSION_TAG,
    )
    page = list_jobs(uow, actor, wanted, limit=20)
    living = [job for job in page.items if not job.cancel_requested and job.state != "FINISHING"]
    return get_job(uow, actor, living[0].id) if living else None


def open_session(
    uow: UnitOfWork, actor: Actor, settings: ComputeSettings, wanted: NewCodeSession, account: str | None = None
) -> tuple[answers.JobDetail, bool]:
    """The actor's session, and whether it was a warm sandbox until now.

    The one there is, unless a new one is asked for; else a warm one where any would do; else a job that has to start.
    Raises as `submit_job`.
    """
    found = None if wanted.new else find_session(uow, actor, account)
    if found is not None:
        return found, False
    spec = session_spec(wanted, account)
    uow.hint(WARM_TOPIC)
    try:
        warm = adopt(uow, actor, settings, spec) if is_plain(wanted) else None
        made = warm or submit_job(uow, actor, spec, settings)
    except Conflict as error:
        raise _with_remedy(error) from error
    uow.tally("code_sessions", "submitted" if warm is None else "warm")
    return made, warm is not None


def _with_remedy(error: Conflict) -> Conflict:
    """One interactive job is all that the user may have, and it is no session in this account: code runs in it, too."""
    if error.code != "interactive-job-exists":
        return error
    job = error.fields["job"]
    return Conflict(
        f"{error.message}; or run the code in it: `dais code run --job {job}`", code=error.code, **error.fields
    )


def session_spec(wanted: NewCodeSession, account: str | None) -> JobSpec:
    """The job of a session."""
    resources = Resources()
    given = {name: getattr(wanted, name) for name in ("cpu", "mem", "gpu") if getattr(wanted, name) is not None}
    return JobSpec(
        command=COMMAND,
        account=account,
        image=wanted.image,
        group=wanted.group,
        environment=dict(wanted.environment),
        network=wanted.network,
        resources=msgspec.structs.replace(resources, **given),
        type="interactive",
        tags={SESSION_TAG: ""},
    )


def is_plain(wanted: NewCodeSession) -> bool:
    """Whether any warm sandbox would do."""
    return wanted == NewCodeSession(new=wanted.new)
