"""Changing the catalogue of container images: what people say, and what the engine's store is seen to have."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, update

from dais.compute.groups.queries import group_names, group_row
from dais.compute.images.catalogue import (
    MOST,
    candidates,
    container_image_row,
    find_container_image,
    image_answers,
    keeps_images,
)
from dais.compute.images.labels import python_of
from dais.compute.images.registries import check_usable
from dais.compute.images.tables import container_images, image_aliases
from dais.compute.images.types import Pin
from dais.compute.jobs.tables import jobs
from dais.engines.contract import ImageFacts
from dais.identity import Account, Actor, require, resolve_account
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid, NotFound, TooMany
from dais.kit.ids import new_id
from dais.wire import answers
from dais.wire.references import LOCAL, Reference, parse_reference

HINT = "images"
"""The topic that is told when an image's state or progress changes."""

_name = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_unsuitable = re.compile(r"[^a-z0-9._-]+")
_columns = [column.name for column in container_images.c]
_insert = Statement(
    insert(container_images).values({name: bindparam(name) for name in _columns}), suffix="ON CONFLICT DO NOTHING"
)
_count = Statement(
    select(func.count())
    .select_from(container_images)
    .where(
        container_images.c.group_name == bindparam("group"),
        container_images.c.account_id.is_not_distinct_from(bindparam("account_id")),
    )
)
_own_reference = Statement(
    select(container_images).where(
        container_images.c.group_name == bindparam("group"),
        container_images.c.account_id.is_not_distinct_from(bindparam("account_id")),
        container_images.c.reference == bindparam("reference"),
    )
)
_delete = Statement(delete(container_images).where(container_images.c.id == bindparam("id_")))
_alias = Statement(insert(image_aliases), suffix="ON CONFLICT DO NOTHING")
_unalias = Statement(
    delete(image_aliases).where(
        image_aliases.c.image_id == bindparam("image"), image_aliases.c.alias == bindparam("name_")
    )
)
_user = Statement(select(jobs.c.id).where(jobs.c.image_id == bindparam("image_id"), jobs.c.ended_at.is_(None)).limit(1))
_facts = ("digest", "engine_id", "system", "architecture", "size", "labels", "search_path", "seen_at")
_set_facts = Statement(
    update(container_images)
    .where(container_images.c.id == bindparam("id_"))
    .values(
        {name: bindparam(name) for name in _facts}
        | {"python": func.coalesce(bindparam("python"), container_images.c.python)}
        | dict.fromkeys(("problem", "problem_code", "progress", "progress_done", "progress_total"))
        | {"state": "there"}
    )
)
_set_state = Statement(
    update(container_images)
    .where(container_images.c.id == bindparam("id_"))
    .values(
        state=bindparam("state_"),
        problem_code=bindparam("code"),
        problem=bindparam("words"),
        progress=None,
        progress_done=None,
        progress_total=None,
    )
)
_set_progress = Statement(
    update(container_images)
    .where(container_images.c.id == bindparam("id_"), container_images.c.state.in_(("pulling", "building")))
    .values(progress=bindparam("words"), progress_done=bindparam("done"), progress_total=bindparam("total"))
)
_set_pin = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.state == "PREPARING")
    .values(image_pin=bindparam("pin"), detail=None)
)
_tell_jobs = Statement(
    update(jobs)
    .where(jobs.c.image_id == bindparam("image"), jobs.c.ended_at.is_(None), jobs.c.state == "PREPARING")
    .values(detail=bindparam("words"))
)
_set_python = Statement(
    update(container_images).where(container_images.c.id == bindparam("id_")).values(python=bindparam("python_"))
)


def add_container_image(
    uow: UnitOfWork,
    actor: Actor,
    group: str,
    reference: str,
    *,
    name: str | None = None,
    account: str | None = None,
    installation: bool = False,
) -> answers.Image:
    """Put a reference into the catalogue: the account's, or everybody's. Nothing is fetched.

    Raises Invalid, Conflict (the name or the reference is there), TooMany, Forbidden (`registry-not-allowed`, too).
    """
    check_store(uow, group)
    wanted = reference_of(reference)
    where = owner_of(uow, actor, group, account, name or "", installation=installation)
    owner = None if where is None else where.id
    if where is not None:
        check_usable(uow, where.organization_id, where.full_name.partition(".")[0], wanted.registry)
    if wanted.registry == LOCAL:
        raise Invalid(f"{wanted} is in no registry; `dais image rescan` finds what the engine has", code="bad-image")
    known = uow.one(_own_reference, group=group, account_id=owner, reference=str(wanted))
    if known is not None:
        raise Conflict(
            f"{wanted.short} is in the catalogue already, as {known.name}", code="already-exists", name=known.name
        )
    row = enter_image(uow, group, owner, str(wanted), actor.id, origin="registered", name=name)
    return image_answers(uow, [row])[0]


def enter_image(
    uow: UnitOfWork,
    group: str,
    account_id: str | None,
    reference: str,
    user_id: str,
    *,
    origin: str,
    name: str | None = None,
    state: str = "missing",
) -> Row:
    """Write a new row; without a name, one is made of the reference. Nobody's permission is asked.

    Raises Invalid `bad-name`, Conflict `already-exists`, TooMany.
    """
    if uow.scalar(_count, group=group, account_id=account_id) >= MOST:
        raise TooMany(f"there are {MOST:,} images already, which is the limit; remove some", code="too-many-images")
    if name is not None and not _name.fullmatch(name):
        raise Invalid(
            f"{name[:80]!r} cannot name an image: use 1 to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or "
            "digit",
            code="bad-name",
        )
    row: dict[str, object] = dict.fromkeys(_columns)
    row |= {"id": new_id(), "group_name": group, "account_id": account_id, "reference": reference, "labels": "{}"}
    row |= {"state": state, "origin": origin, "created_by": user_id, "created_at": uow.now}
    base = name or name_for(parse_reference(reference))
    for number in range(1, 100):
        row["name"] = base if number == 1 else f"{base[:59]}-{number}"
        if uow.run(_insert, **row):
            break
        if name is not None:
            raise Conflict(
                f"there is an image {name!r} already; choose another name, or remove it: dais image rm {name}",
                code="already-exists",
                name=name,
            )
    made = container_image_row(uow, str(row["id"]))
    if made is None:
        raise Conflict(f"there are a hundred images named {base!r}; remove some", code="already-exists", name=base)
    _tell(uow, made, "image.new")
    return made


def name_for(reference: Reference) -> str:
    """A name for people: `python-3.12` of `docker.io/library/python:3.12`."""
    last = reference.repository.rpartition("/")[2]
    tag = reference.tag or (reference.digest or "").removeprefix("sha256:")[:12]
    text = last if tag == "latest" else f"{last}-{tag}"
    return _unsuitable.sub("-", text.lower()).strip("._-")[:63] or "image"


def set_alias(uow: UnitOfWork, actor: Actor, group: str, account: str | None, name: str, alias: str) -> answers.Image:
    """Give an image another name for jobs. Raises NotFound, Invalid, Conflict (it means another image), Forbidden."""
    where = resolve_account(uow, actor, account)
    row = find_container_image(uow, actor, group, where, name, "image:set")
    if not _name.fullmatch(alias):
        raise Invalid(f"{alias[:80]!r} cannot be an alias: use 1 to 63 of a-z, 0-9, '.', '_', '-'", code="bad-name")
    for other in candidates(uow, group, where.id, alias):
        if other.id != row.id and other.account_id == row.account_id:
            raise Conflict(f"{alias!r} means the image {other.name} already", code="already-exists", name=alias)
    uow.run(_alias, image_id=row.id, alias=alias)
    _tell(uow, row, "image.set")
    return image_answers(uow, [row])[0]


def remove_alias(
    uow: UnitOfWork, actor: Actor, group: str, account: str | None, name: str, alias: str
) -> answers.Image:
    """Take an alias away. Raises NotFound `no-such-alias`, Forbidden."""
    where = resolve_account(uow, actor, account)
    row = find_container_image(uow, actor, group, where, name, "image:set")
    if not uow.run(_unalias, image=row.id, name_=alias):
        raise NotFound(f"the image {row.name} has no alias {alias[:80]!r}", code="no-such-alias", name=alias[:80])
    _tell(uow, row, "image.set")
    return image_answers(uow, [row])[0]


def forget_image(uow: UnitOfWork, actor: Actor, group: str, account: str | None, name: str) -> Row:
    """Take an image out of the catalogue; the engine keeps it. Its row, as it was.

    Raises NotFound, Forbidden, Conflict `in-use` while a job of it has not ended.
    """
    where = resolve_account(uow, actor, account)
    row = find_container_image(uow, actor, group, where, name, "image:rm")
    user = uow.scalar(_user, image_id=row.id)
    if user is not None:
        raise Conflict(
            f"the image {row.name} is used by job {user}, which has not ended; wait for it, or kill it",
            code="in-use",
            job=user,
        )
    uow.run(_delete, id_=row.id)
    _tell(uow, row, "image.removed")
    return row


def store_facts(uow: UnitOfWork, image_id: str, facts: ImageFacts, python: str | None = None) -> Row | None:
    """The engine has it: write what it is. None when the row was removed meanwhile."""
    before = container_image_row(uow, image_id)
    if before is None:
        return None
    uow.run(
        _set_facts,
        id_=image_id,
        digest=facts.digest or (before.digest if before.engine_id == facts.id else None),
        engine_id=facts.id,
        system=facts.system,
        architecture=facts.architecture,
        size=facts.size,
        labels=msgspec.json.encode(facts.labels).decode(),
        search_path=facts.environment.get("PATH"),
        python=python_of(facts.labels) if python is None else python,
        seen_at=uow.now,
    )
    row = container_image_row(uow, image_id)
    if row is not None and (before.state, before.engine_id) != ("there", facts.id):
        _tell(uow, row, "image.state")
    return row


def store_state(uow: UnitOfWork, image_id: str, state: str, code: str | None = None, words: str | None = None) -> None:
    """Its fetching or building begins, has failed (`code` and `words` say why), or it is gone."""
    if uow.run(_set_state, id_=image_id, state_=state, code=code, words=words and words[:8000]):
        row = container_image_row(uow, image_id)
        assert row is not None
        _tell(uow, row, "image.state")


def store_progress(uow: UnitOfWork, image_id: str, words: str, done: int | None, total: int | None) -> None:
    """How far a pull or a build is."""
    uow.run(_set_progress, id_=image_id, words=words[:500], done=done, total=total)
    uow.hint(HINT)


def store_no_python(uow: UnitOfWork, image_id: str) -> None:
    """It was tried: there is no Python in it."""
    uow.run(_set_python, id_=image_id, python_="")


def store_pin(uow: UnitOfWork, job_id: str, pin: Pin) -> None:
    """The content that a job's image is from now on, and nothing more to say of how it was fetched."""
    uow.run(_set_pin, job_id=job_id, pin=msgspec.json.encode(pin).decode())


def tell_waiting(uow: UnitOfWork, image_id: str, words: str) -> None:
    """Say to the jobs that wait for an image how far its fetching is."""
    uow.run(_tell_jobs, image=image_id, words=words)


def owner_of(
    uow: UnitOfWork, actor: Actor, group: str, account: str | None, name: str, *, installation: bool
) -> Account | None:
    """The account that a new image is for, None for the installation; the actor may make one there. Forbidden else."""
    if installation:
        require(uow, actor, "image:new", resource_id=f"{group}/{name}")
        return None
    where = resolve_account(uow, actor, account)
    require(uow, actor, "image:new", account_id=where.id)
    return where


def check_store(uow: UnitOfWork, group: str) -> Row:
    """The row of a group with an image store. Raises NotFound `no-such-group`, Invalid `no-image-store`."""
    row = group_row(uow, group)
    if row is None:
        raise NotFound(
            f"there is no resource group {group!r}; there are: {', '.join(group_names(uow)) or 'none yet'}",
            code="no-such-group",
        )
    if not keeps_images(row):
        raise Invalid(
            f"group {group} starts from root directories, not from container images; name a group of Docker's or "
            "Podman's with --group",
            code="no-image-store",
        )
    return row


def reference_of(text: str) -> Reference:
    """A reference that somebody wrote. Raises Invalid `bad-image`."""
    try:
        return parse_reference(text)
    except ValueError as error:
        raise Invalid(f"{text[:120]!r} names no image: {error}", code="bad-image") from error


def local_reference(account: Account | None, name: str) -> str:
    """What an image that is made here is called in the engine's store."""
    for owner in (account.full_name, account.id) if account is not None else ("installation",):
        with contextlib.suppress(ValueError):
            return str(parse_reference(f"{LOCAL}/dais/{owner}/{name}:latest"))
    raise Invalid(
        f"{name[:80]!r} cannot name an image that is made here: between its letters and digits may be single '.', '_', "
        "'__' or '-'",
        code="bad-name",
    )


def _tell(uow: UnitOfWork, row: Row, kind: str) -> None:
    data: Mapping[str, object] = {"name": row.name, "group": row.group_name, "state": row.state}
    uow.emit(Event(kind, "image", row.id, row.account_id, data))
    uow.hint(HINT)
