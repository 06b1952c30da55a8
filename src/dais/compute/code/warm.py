"""Warm sandboxes as rows: jobs of the installation that nobody has used, and their one change of hands.

A warm sandbox is a job of type `system` in the first administrator's account, last in the queue, with a started Python
and nothing else in it. A session takes one over in one guarded change of its row; it is never given back.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, update

from dais.compute.groups.held import NO_SLOTS, held_slots
from dais.compute.groups.queries import DEFAULT_GROUP, node_rows
from dais.compute.groups.tables import nodes
from dais.compute.interactive.home import has_dotfiles
from dais.compute.jobs.commands import remove_job
from dais.compute.jobs.described import describe_tags
from dais.compute.jobs.queries import get_job
from dais.compute.jobs.runs import cancel
from dais.compute.jobs.submit import check_room, check_spec, submit_job
from dais.compute.jobs.tables import is_waiting, job_tags, jobs, runs
from dais.compute.settings import ComputeSettings
from dais.identity import Actor, first_administrator
from dais.kit.clock import SECOND
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.wire import answers
from dais.wire.code import SESSION_TAG
from dais.wire.spec import JobSpec

COMMAND = ("/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done")
"""What a session's job does by itself: nothing, until it is told to end."""
WARM_TAG = "dais-warm"
"""The tag of warm sandboxes: empty while it starts, `ready` once Python is there."""
READY = "ready"
WARM_TOPIC = "warm sandboxes"
"""Hinted when a session was opened: another one may be wanted."""
LATELY = 1800 * SECOND
"""Sessions that were opened in this time (µs) say how many may be wanted soon."""
AT_ONCE = 60 * SECOND
OLDEST = 3600 * SECOND
"""How long one is kept (µs): so much of the longest time of an interactive job may be over when it is taken."""
LAST = 4
"""The rank of their class, after every other."""
NOT_NEEDED, PLACE_NEEDED = "it was not needed", "a job needs its place"

_warm = (
    select(
        jobs.c.id, jobs.c.state, jobs.c.group_name, jobs.c.image, jobs.c.ended_at, jobs.c.created_at,
        jobs.c.cancel_requested_at, runs.c.node, job_tags.c.value,
    )
    .select_from(
        job_tags.join(jobs, jobs.c.id == job_tags.c.job_id).outerjoin(
            runs, (runs.c.job_id == jobs.c.id) & (runs.c.idx == jobs.c.run_index)
        )
    )
    .where(job_tags.c.key == WARM_TAG, jobs.c.type == "system")
    .order_by(jobs.c.number)
)  # fmt: skip
_all = Statement(_warm)
_free = Statement(
    _warm.where(
        jobs.c.state == "RUNNING", jobs.c.cancel_requested_at.is_(None), job_tags.c.value == READY,
        jobs.c.group_name == bindparam("group"), jobs.c.image == bindparam("image"),
    )
)  # fmt: skip
_still = Statement(
    select(jobs.c.id)
    .where(
        jobs.c.id == bindparam("job_id"), jobs.c.type == "system", jobs.c.ended_at.is_(None),
        jobs.c.cancel_requested_at.is_(None),
    )
    .with_for_update()
)  # fmt: skip
_become_system = Statement(update(jobs).where(jobs.c.id == bindparam("job_id")).values(type="system", class_rank=LAST))
_new = ("account_id", "owner_id", "spec", "warnings", "created_at", "queued_at", "started_at")
_adopt = Statement(
    update(jobs)
    .where(
        jobs.c.id == bindparam("job_id"), jobs.c.type == "system", jobs.c.state == "RUNNING",
        jobs.c.cancel_requested_at.is_(None),
    )
    .values({"type": "interactive", "class_rank": 0, **{name: bindparam(f"new_{name}") for name in _new}})
)  # fmt: skip
_adopt_run = Statement(
    update(runs)
    .where(runs.c.job_id == bindparam("job_id"), runs.c.state == "RUNNING")
    .values(started_at=bindparam("at"))
)
_drop_tags = Statement(delete(job_tags).where(job_tags.c.job_id == bindparam("job_id")))
_insert_tag = Statement(insert(job_tags))
_set_ready = Statement(
    update(job_tags).where(job_tags.c.job_id == bindparam("job_id"), job_tags.c.key == WARM_TAG).values(value=READY)
)
_opened = Statement(
    select(jobs.c.created_at)
    .select_from(job_tags.join(jobs, jobs.c.id == job_tags.c.job_id))
    .where(job_tags.c.key == SESSION_TAG, jobs.c.created_at >= bindparam("since"))
    .order_by(jobs.c.created_at)
    .limit(10_000)
)
_beside = select(nodes.c.name).where(nodes.c.group_name == DEFAULT_GROUP)
_busy = Statement(
    select(jobs.c.id)
    .where(
        is_waiting, jobs.c.type != "system",
        jobs.c.group_name.in_(select(nodes.c.group_name).where(nodes.c.name.in_(_beside))),
    )
    .limit(1)
)  # fmt: skip
_counts = Statement(
    select(job_tags.c.value, func.count().label("count"))
    .select_from(job_tags.join(jobs, jobs.c.id == job_tags.c.job_id))
    .where(job_tags.c.key == WARM_TAG, jobs.c.type == "system", jobs.c.ended_at.is_(None))
    .group_by(job_tags.c.value)
)


class Refilled(msgspec.Struct, frozen=True):
    """Jobs of the pool, by id: those that run and have no Python yet, those that are ready, those that are to start."""

    cold: list[str] = []
    ready: list[str] = []
    starting: list[str] = []


def adopt(uow: UnitOfWork, actor: Actor, settings: ComputeSettings, spec: JobSpec) -> answers.JobDetail | None:
    """Make a warm sandbox the actor's session; None where none is ready, or what the actor's jobs have is not in it.

    What a submit would refuse is refused, as `submit_job` does. Two who come at once never get the same one.
    """
    checked = check_spec(uow, actor, spec, settings)
    check_room(uow, actor, checked.account, spec, settings)
    if (
        checked.mounts
        or checked.image is not None
        or checked.group.name != DEFAULT_GROUP
        or has_dotfiles(uow, actor.id)
    ):
        return None
    for row in uow.all(_free, group=checked.group.name, image=checked.group.default_image):
        taken = uow.run(
            _adopt,
            job_id=row.id,
            new_account_id=checked.account.id,
            new_owner_id=actor.id,
            new_spec=msgspec.json.encode(spec).decode(),
            new_warnings=msgspec.json.encode(checked.warnings).decode(),
            new_created_at=uow.now,
            new_queued_at=uow.now,
            new_started_at=uow.now,
        )
        if not taken:
            continue
        uow.run(_adopt_run, job_id=row.id, at=uow.now)
        uow.run(_drop_tags, job_id=row.id)
        uow.many(_insert_tag, [{"job_id": row.id, "key": key, "value": value} for key, value in spec.tags.items()])
        describe_tags(uow, row.id, checked.account.id, spec.tags)
        uow.emit(Event("job.state", "job", row.id, checked.account.id, {"state": "RUNNING", "run": 0, "reason": None}))
        return get_job(uow, actor, row.id)
    return None


def refill(uow: UnitOfWork, settings: ComputeSettings, default_image: str) -> Refilled:
    """Begin or end warm sandboxes, so that there are as many as are likely to be wanted; forget those that have ended.

    None is begun while a job waits. All but one leave room for a job of their size beside them.
    """
    owner = first_administrator(uow)
    if owner is None:
        return Refilled()
    rows = uow.all(_all)
    for row in rows:
        if row.ended_at is not None:
            remove_job(uow, owner, row.id)
    living = [row for row in rows if row.ended_at is None and row.cancel_requested_at is None]
    wanted = _wanted(uow, settings.code_pool)
    kept = [row for row in living if row.image == default_image and uow.now - row.created_at < OLDEST][:wanted]
    for row in living:
        if row not in kept:
            give_back(uow, row.id, NOT_NEEDED)
    missing = wanted - len(kept)
    if missing > 0 and len(living) == len(kept) and uow.one(_busy) is None:
        for _ in range(min(missing, _room(uow, len(kept)))):
            _begin(uow, owner, settings)
    return Refilled(
        cold=[row.id for row in kept if row.state == "RUNNING" and row.value != READY],
        ready=[row.id for row in kept if row.state == "RUNNING" and row.value == READY],
        starting=[row.id for row in kept if row.state != "RUNNING"],
    )


def _begin(uow: UnitOfWork, owner: Actor, settings: ComputeSettings) -> None:
    most = settings.interactive_max_run_time or None
    made = submit_job(uow, owner, JobSpec(command=COMMAND, group=DEFAULT_GROUP, max_run_time=most), settings)
    uow.run(_become_system, job_id=made.id)
    uow.run(_insert_tag, job_id=made.id, key=WARM_TAG, value="")


def _room(uow: UnitOfWork, kept: int) -> int:
    """How many would start now, with room left for another job of their size; one at least where there is any room.

    That one takes the last place of a small machine, which a job that needs it is given at once.
    """
    asked = JobSpec(command=COMMAND).resources
    held = held_slots(uow)
    room = 0
    for node in node_rows(uow, DEFAULT_GROUP):
        used = held.get(node.name, NO_SLOTS)
        cpu = node.cpu_millis - node.others_cpu_millis - used.cpu_millis
        mem = node.mem - node.others_mem - used.mem
        if not node.no_room:
            room += max(0, min(cpu // int(asked.cpu * 1000), mem // asked.mem))
    return max(min(room, 1 - kept), room - 1, 0)


def mark_ready(uow: UnitOfWork, job_id: str) -> None:
    """Python has been started in it."""
    uow.run(_set_ready, job_id=job_id)


def give_back(uow: UnitOfWork, job_id: str, why: str) -> bool:
    """End a warm sandbox; False when it has been taken over, or has ended."""
    if uow.one(_still, job_id=job_id) is None:
        return False
    cancel(uow, job_id, "user-request", why)
    return True


def give_up(uow: UnitOfWork, group: str, machines: Collection[str]) -> None:
    """Jobs of a group wait: what warm sandboxes hold of its machines is given back."""
    for row in living(uow):
        if row.node in machines or (row.node is None and row.group_name == group):
            give_back(uow, row.id, PLACE_NEEDED)


def living(uow: UnitOfWork) -> list[Row]:
    """The warm sandboxes that have not ended."""
    return [row for row in uow.all(_all) if row.ended_at is None]


def pool_figures(uow: UnitOfWork) -> dict[str, int]:
    """How many warm sandboxes are `starting` and `ready`."""
    found = {row.value: row.count for row in uow.all(_counts)}
    return {"starting": found.get("", 0), "ready": found.get(READY, 0)}


def _wanted(uow: UnitOfWork, most: int) -> int:
    """As many as were opened within a minute at most, lately; none where no session was."""
    if most == 0:
        return 0
    times = [row.created_at for row in uow.all(_opened, since=uow.now - LATELY)]
    first, peak = 0, 0
    for last, at in enumerate(times):
        while at - times[first] > AT_ONCE:
            first += 1
        peak = max(peak, last - first + 1)
    return min(most, peak)
