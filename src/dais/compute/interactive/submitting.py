"""What is asked of an interactive job at its submit, and the folders that are in its home."""

from __future__ import annotations

from dais.compute.settings import ComputeSettings
from dais.data import folders_with_dots
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid
from dais.wire.inputs import WORK_DIRECTORY
from dais.wire.spec import JobSpec, Mount
from dais.wire.units import format_duration


def check_interactive(spec: JobSpec, settings: ComputeSettings) -> None:
    """Raises Invalid `not-interactive`, `too-long`."""
    if spec.type != "interactive":
        if spec.idle_timeout is not None:
            raise Invalid(
                "idle_timeout is of interactive jobs; leave it out, or submit the job with --interactive",
                code="not-interactive",
            )
        return
    most = settings.interactive_max_run_time
    if most and spec.max_run_time is not None and spec.max_run_time > most:
        raise Invalid(
            f"max_run_time is {format_duration(spec.max_run_time)}; an interactive job may run for "
            f"{format_duration(most)} here: ask for at most that, or submit a batch job",
            code="too-long",
            limit=most,
        )


def dot_folders(uow: UnitOfWork, actor: Actor, spec: JobSpec) -> list[Mount]:
    """The folders of the user's own account whose names begin with a dot, in the home of an interactive job.

    One whose place the job gives to something else is left out.
    """
    if spec.type != "interactive":
        return []
    taken = {mount.target for mount in spec.data}
    found = [
        Mount(name=folder_id, target=f"{WORK_DIRECTORY}/{name}") for name, folder_id in folders_with_dots(uow, actor)
    ]
    return [mount for mount in found if mount.target not in taken]
