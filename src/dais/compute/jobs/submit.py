"""Submitting a job."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import msgspec
from sqlalchemy import bindparam, delete, func, insert, literal, select, update

from dais.compute.groups.choice import check_group, choose_group, named_group
from dais.compute.images.catalogue import keeps_images
from dais.compute.images.resolving import enter, resolve_image
from dais.compute.images.types import Resolved
from dais.compute.interactive.limits import check_one_more
from dais.compute.interactive.submitting import check_interactive, dot_folders
from dais.compute.jobs import apply
from dais.compute.jobs.described import describe_tags
from dais.compute.jobs.pins import (
    NOTHING,
    Pins,
    check_pins,
    decode_pins,
    fix,
    fixed_spec,
    has_data,
    is_version,
    named,
    note_uses,
)
from dais.compute.jobs.queries import get_job, new_job
from dais.compute.jobs.tables import SHORT_ID, idempotency_keys, job_tags, jobs
from dais.compute.jobs.types import FolderMount
from dais.compute.secrets.queries import check_uses
from dais.compute.settings import ComputeSettings
from dais.data import find_mount
from dais.identity import Account, Actor, get_account, require, resolve_account
from dais.kit.clock import SECOND
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid, TooMany
from dais.kit.ids import new_id
from dais.wire import answers
from dais.wire.spec import JobSpec, Mount

KEY_LIFE = 24 * 3600 * SECOND
"""How long an idempotency key is kept, in µs."""

_insert_job = Statement(
    insert(jobs).inline().values({column.name: bindparam(column.name) for column in jobs.c if column.name != "number"}),
    suffix="ON CONFLICT DO NOTHING",
    numbers="number",
)
_insert_tag = Statement(insert(job_tags))
_insert_key = Statement(insert(idempotency_keys), suffix="ON CONFLICT DO NOTHING")
_set_pins = Statement(update(jobs).where(jobs.c.number == bindparam("number")).values(pins=bindparam("pins")))
_find_key = Statement(
    select(idempotency_keys).where(
        idempotency_keys.c.user_id == bindparam("user_id"), idempotency_keys.c.key == bindparam("key")
    )
)
_drop_key = Statement(
    delete(idempotency_keys).where(
        idempotency_keys.c.user_id == bindparam("user_id"),
        idempotency_keys.c.key == bindparam("key"),
        idempotency_keys.c.created_at < bindparam("before"),
    )
)
_active = Statement(
    select(func.count()).select_from(
        select(literal(1))
        .where(jobs.c.owner_id == bindparam("owner"), jobs.c.ended_at.is_(None))
        .limit(200_000)
        .subquery()
    )
)


class Checked(msgspec.Struct, frozen=True):
    """A spec whose every name has been looked up."""

    account: Account
    group: Row
    mounts: tuple[FolderMount, ...]
    warnings: tuple[str, ...]
    image: Resolved | None = None
    pins: Pins = NOTHING


def submit_job(
    uow: UnitOfWork, actor: Actor, spec: JobSpec, settings: ComputeSettings, *, key: str | None = None
) -> answers.JobDetail:
    """Put a job in the queue; what is known of it, without a look at the queue.

    The same idempotency key with the same spec, within 24 h, gives the job that it made; with another spec it is a
    Conflict. Raises Invalid for what can never run here, Forbidden, NotFound (folder, account), Conflict (name).
    """
    body = ""
    if key is not None:
        body = hashlib.sha256(msgspec.json.encode(spec, order="deterministic")).hexdigest()
        earlier = _earlier(uow, actor, key, body)
        if earlier is not None:
            return get_job(uow, actor, earlier)
    checked = check_spec(uow, actor, spec, settings)
    pins = checked.pins
    if has_data(spec):
        spec = fixed_spec(spec, pins)
    check_room(uow, actor, checked.account, spec, settings)
    job_id = new_id()
    row = _row(uow, actor, spec, checked, job_id)
    row["number"] = number = uow.insert(_insert_job, **row)
    if number is None:
        raise Conflict(
            f"a job named {spec.name!r} is waiting or running in {checked.account.full_name}; choose another name, "
            "or use --enforce-name to have a suffix added",
            code="already-exists",
            name=spec.name,
        )
    uow.many(_insert_tag, [{"job_id": job_id, "key": k, "value": v} for k, v in spec.tags.items()])
    describe_tags(uow, job_id, checked.account.id, spec.tags)
    if has_data(spec):
        pins = named(uow, actor, checked.account, pins, number)
        row["pins"] = msgspec.json.encode(pins).decode()
        uow.run(_set_pins, number=number, pins=row["pins"])
        note_uses(uow, job_id, pins)
    if key is not None:
        uow.run(_insert_key, user_id=actor.id, key=key, body_hash=body, job_id=job_id, created_at=uow.now)
    apply.begin(uow, job_id, checked.account.id)
    return new_job(uow, SimpleNamespace(**row), spec, checked.account, actor.name, checked.warnings)


def check_room(uow: UnitOfWork, actor: Actor, account: Account, spec: JobSpec, settings: ComputeSettings) -> None:
    """Refuse a job beyond how many a user may have. Raises TooMany `too-many-jobs`, Conflict."""
    _check_active(uow, actor, settings.max_active_jobs)
    if spec.type == "interactive":
        check_one_more(uow, actor.id, account, settings)


def _check_active(uow: UnitOfWork, actor: Actor, limit: int) -> None:
    """Refuse a job beyond the user's limit.

    Counting walks through all live jobs. So an eighth of the room that was found is given out without another count:
    a limit is met exactly, and passed only by what several servers give out at once.
    """
    name = f"room of {actor.id}"
    room = uow.memory.get(name, 0)
    if room == 0:
        active = uow.scalar(_active, owner=actor.id)
        if active >= limit:
            raise TooMany(
                f"you have {limit} jobs waiting or running, which is the limit; wait for some to end",
                code="too-many-jobs",
                limit=limit,
            )
        room = max(1, (limit - active) // 8)
    uow.memory[name] = room - 1


def _earlier(uow: UnitOfWork, actor: Actor, key: str, body: str) -> str | None:
    if not 1 <= len(key) <= 255:
        raise Invalid("an idempotency key has from 1 to 255 characters", code="bad-idempotency-key")
    uow.run(_drop_key, user_id=actor.id, key=key, before=uow.now - KEY_LIFE)
    row = uow.one(_find_key, user_id=actor.id, key=key)
    if row is None:
        return None
    if row.body_hash != body:
        raise Conflict(
            f"idempotency key {key!r} was used for another spec (job {row.job_id}); use a new key for a new job",
            code="idempotency-key-reused",
            job=row.job_id,
        )
    return str(row.job_id)


def check_spec(uow: UnitOfWork, actor: Actor, spec: JobSpec, settings: ComputeSettings) -> Checked:
    """Look up everything that the spec names and refuse what can never run. Changes nothing (`--dry-run`)."""
    account = resolve_account(uow, actor, spec.account)
    require(uow, actor, "job:new", account_id=account.id)
    check_interactive(spec, settings)
    chosen = choose_group(uow, actor, spec)
    check_uses(uow, actor, account, spec.secrets)
    mounts = tuple(
        FolderMount(folder_id=found.folder_id, path=found.path, target=mount.target, read_only=found.read_only)
        for mount in (*spec.data, *dot_folders(uow, actor, spec))
        if not is_version(mount)  # which is an input, see `jobs.pins`
        for found in (find_mount(uow, actor, mount, account.id),)
    )
    group = chosen.group
    image = resolve_image(uow, actor, spec, group, account) if keeps_images(group) else None
    pins = fix(uow, actor, account, spec) if has_data(spec) else NOTHING
    return Checked(account, group, mounts, chosen.warnings, image, pins)


def check_again(uow: UnitOfWork, actor: Actor, row: Row, settings: ComputeSettings) -> None:
    """Ask for all that a job uses, for whoever lets it run once more. Raises as `check_spec` and `submit_job`."""
    spec = msgspec.json.decode(row.spec, type=JobSpec)
    account, group = get_account(uow, row.account_id), named_group(uow, actor, row.group_name)
    if spec.type == "interactive":
        check_one_more(uow, row.owner_id, account, settings)
    check_uses(uow, actor, account, spec.secrets)
    check_group(uow, actor, spec, group)
    for mount in msgspec.json.decode(row.mounts, type=tuple[FolderMount, ...]):
        again = Mount(name=mount.folder_id, path=mount.path, target=mount.target, read_only=mount.read_only)
        find_mount(uow, actor, again, account.id)
    if row.pins:
        check_pins(uow, actor, account, decode_pins(row.pins))


def _row(uow: UnitOfWork, actor: Actor, spec: JobSpec, checked: Checked, job_id: str) -> dict[str, object]:
    image = checked.image
    return {
        "id": job_id,
        "short_id": job_id[-SHORT_ID:],
        "name": spec.name,
        "account_id": checked.account.id,
        "owner_id": actor.id,
        "group_name": checked.group.name,
        "type": spec.type,
        "state": "PENDING",
        "reason": None,
        "detail": None,
        "spec": msgspec.json.encode(spec).decode(),
        "warnings": msgspec.json.encode(checked.warnings).decode(),
        "mounts": msgspec.json.encode(checked.mounts).decode(),
        "pins": None,
        "image": spec.image or checked.group.default_image,
        "image_id": image and enter(uow, actor, image, checked.group.name, checked.account),
        "image_pin": image and msgspec.json.encode(image.pin).decode(),
        "cpu_millis": int(spec.resources.cpu * 1000),
        "mem": spec.resources.mem,
        "gpu": spec.resources.gpu,
        "class_rank": class_rank(spec),
        "bid": spec.bid,
        "queued_at": uow.now,
        "pending_reason": None,
        "restartable": int(spec.restartable),
        "run_index": 0,
        "exit_code": None,
        "signal": None,
        "cancel_requested_at": None,
        "cancel_reason": None,
        "created_at": uow.now,
        "started_at": None,
        "ended_at": None,
    }


def class_rank(spec: JobSpec) -> int:
    """Interactive before non-preemptable before preemptable before restartable; bids order within a class."""
    if spec.type == "interactive":
        return 0
    if spec.restartable:
        return 3
    return 2 if spec.preemptable else 1
