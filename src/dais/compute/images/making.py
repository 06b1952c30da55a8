"""Making images: from a Dockerfile, from a running job, from another one with more labels; and finding those there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update

from dais.compute.groups.queries import DEFAULT_GROUP, group_row, group_rows
from dais.compute.images.catalogue import (
    CONTAINER_ENGINES,
    find_container_image,
    image_answers,
    keeps_images,
    resource_of_image,
)
from dais.compute.images.changes import (
    HINT,
    check_store,
    enter_image,
    local_reference,
    owner_of,
    store_facts,
    store_state,
)
from dais.compute.images.queries import image_names
from dais.compute.images.registries import check_usable
from dais.compute.images.tables import container_images, image_logs
from dais.compute.jobs.running import running_work
from dais.compute.jobs.types import Work
from dais.engines.contract import ImageFacts
from dais.identity import Account, Actor, may, require, require_on, resolve_account, resource_at
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid
from dais.wire import answers
from dais.wire.dockerfile import base_images, instructions, remote_sources
from dais.wire.references import LOCAL, parse_reference

LOG_CHARACTERS = 1 << 20
"""How much of a build's log is kept, the newest."""
MOST_LABELS = 200

_label = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9._/-]{0,253}[a-zA-Z0-9])?", re.ASCII)
_argument = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_log = Statement(select(image_logs).where(image_logs.c.image_id == bindparam("id")))
_new_log = Statement(insert(image_logs))
_drop_log = Statement(delete(image_logs).where(image_logs.c.image_id == bindparam("id_")))
_set_log = Statement(
    update(image_logs)
    .where(image_logs.c.image_id == bindparam("id_"))
    .values(text=bindparam("text_"), dropped=bindparam("dropped_"))
)
_in_store = Statement(select(container_images).where(container_images.c.group_name == bindparam("group")))
_interrupted = Statement(
    select(container_images.c.id).where(
        container_images.c.group_name == bindparam("group"), container_images.c.state.in_(("building", "pulling"))
    )
)


class NewBuild(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image to build. `source` is the digest of a source that was stored, `dockerfile` a path in it.

    `secrets` are names of the account's secrets, which build steps find in /run/secrets. `replace`: an image of this
    name that was built before gives way, once the new one is there; one that could not be built does so unasked. `time`
    is in seconds.
    """

    name: str
    source: str
    dockerfile: Annotated[str, msgspec.Meta(max_length=1024)] = "Dockerfile"
    group: str | None = None
    account: str | None = None
    installation: bool = False
    arguments: dict[str, str] = {}
    labels: dict[str, str] = {}
    secrets: list[str] = []
    cache: bool = True
    replace: bool = False
    time: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 3600


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A row for an image that is about to be made, what it is called in the store, and what it is made from."""

    image_id: str
    group: str
    reference: str
    bases: tuple[str, ...] = ()
    account_id: str | None = None


def store_group(uow: UnitOfWork, group: str | None) -> str:
    """The group whose image store is meant: the one named, else the only one there is. Raises Invalid, NotFound."""
    if group is not None:
        return str(check_store(uow, group).name)
    names = [row.name for row in group_rows(uow) if row.engine in CONTAINER_ENGINES]
    if len(names) == 1:
        return str(names[0])
    if not names:
        raise Invalid(
            "no group has an image store; an administrator adds one: dais attach docker, or dais attach podman",
            code="no-image-store",
        )
    raise Invalid(f"several groups have an image store; name one with --group: {', '.join(names)}", code="which-group")


def begin_build(uow: UnitOfWork, actor: Actor, wanted: NewBuild, dockerfile: str) -> Begun:
    """Check a build and write its row, in the state `building`.

    Raises Invalid (`build-failed` for what the Dockerfile may not do, with its line), Conflict, Forbidden.
    """
    group = store_group(uow, wanted.group)
    where = owner_of(uow, actor, group, wanted.account, wanted.name, installation=wanted.installation)
    check_labels(wanted.labels)
    for name in wanted.arguments:
        if not _argument.fullmatch(name):
            raise Invalid(f"{name[:80]!r} cannot name a build argument", code="bad-name")
    bases = _checked_bases(uow, actor, where, dockerfile, wanted.arguments)
    reference = local_reference(where, wanted.name)
    row = _row_to_make(uow, actor, group, where, wanted.name, reference, "build", replace=wanted.replace)
    uow.run(_drop_log, id_=row.id)
    uow.run(_new_log, image_id=row.id, text="", dropped=0)
    return Begun(
        image_id=row.id, group=row.group_name, reference=reference, bases=bases, account_id=where.id if where else None
    )


def begin_import(
    uow: UnitOfWork,
    actor: Actor,
    source: Row,
    name: str,
    labels: Mapping[str, str],
    *,
    account: str | None,
    installation: bool = False,
) -> Begun:
    """Write the row of an image that is another one with more labels. Raises Invalid, Conflict, Forbidden."""
    check_labels(labels)
    where = owner_of(uow, actor, source.group_name, account, name, installation=installation)
    reference = local_reference(where, name)
    row = _row_to_make(uow, actor, source.group_name, where, name, reference, "import", replace=False)
    return Begun(image_id=row.id, group=row.group_name, reference=reference, account_id=where.id if where else None)


def begin_commit(
    uow: UnitOfWork, actor: Actor, job: str, name: str, labels: Mapping[str, str], account: str | None
) -> tuple[Begun, Work]:
    """Write the row of an image of what a running job has written.

    Who makes one can read all that the job wrote, so it takes `job:exec`. Raises NotFound, Conflict `not-running`,
    Invalid `no-image-store`, Forbidden.
    """
    work = running_work(uow, actor, job, "job:exec", account)
    check_store(uow, work.group)
    check_labels(labels)
    require(uow, actor, "image:new", account_id=work.account_id)
    where = resolve_account(uow, actor, work.account)
    reference = local_reference(where, name)
    row = _row_to_make(uow, actor, work.group, where, name, reference, "commit", replace=False)
    return Begun(image_id=row.id, group=row.group_name, reference=reference, account_id=where.id), work


def source_image(
    uow: UnitOfWork, actor: Actor, group: str | None, account: str | None, name: str, action: str = "image:get"
) -> Row:
    """An image with which something is done. Raises NotFound, Invalid, Forbidden."""
    where = resolve_account(uow, actor, account)
    return find_container_image(uow, actor, store_group(uow, group), where, name, action)


def see_image(uow: UnitOfWork, actor: Actor, group: str | None, account: str | None, name: str) -> answers.Image:
    """One container image. Raises NotFound `no-such-image`, Invalid (`which-group`)."""
    return image_answers(uow, [source_image(uow, actor, group, account, name)])[0]


def is_root_group(uow: UnitOfWork, group: str | None, name: str) -> bool:
    """Whether a name is, or would be, one of a root directory. Without a group the local one's are looked at first."""
    row = group_row(uow, group or DEFAULT_GROUP)
    if row is None:
        return group is None and not any(one.engine in CONTAINER_ENGINES for one in group_rows(uow))
    if keeps_images(row):
        return False
    if group is not None or name in image_names(uow, DEFAULT_GROUP):
        return True
    return not any(one.engine in CONTAINER_ENGINES for one in group_rows(uow))


def append_log(uow: UnitOfWork, image_id: str, text: str) -> None:
    """What a build printed since; beyond LOG_CHARACTERS the oldest is dropped."""
    row = uow.one(_log, id=image_id)
    if row is None:
        return
    whole = row.text + text.replace("\0", "\ufffd")
    over = max(0, len(whole) - LOG_CHARACTERS)
    uow.run(_set_log, id_=image_id, text_=whole[over:], dropped_=row.dropped + over)
    uow.hint(HINT)


def image_log(
    uow: UnitOfWork, actor: Actor, group: str | None, account: str | None, name: str, offset: int = 0
) -> answers.ImageLog:
    """What a build printed from a character on. Raises NotFound, Forbidden."""
    row = source_image(uow, actor, group, account, name)
    found = uow.one(_log, id=row.id)
    if found is None:
        return answers.ImageLog(text="", offset=0, next=0, complete=True)
    start = max(offset, found.dropped)
    text = found.text[start - found.dropped :]
    return answers.ImageLog(text=text, offset=start, next=start + len(text), complete=row.state != "building")


def end_interrupted(uow: UnitOfWork, group: str) -> None:
    """What was being fetched or built when the server stopped is not any more."""
    for row in uow.all(_interrupted, group=group):
        store_state(uow, row.id, "failed", "interrupted", "the server stopped while it was made; begin it again")


def rescan_store(uow: UnitOfWork, actor: Actor, group: str, found: Sequence[ImageFacts]) -> answers.Rescanned:
    """Write what the engine's store has: rows see their image again or lose it, and what is new is the installation's.

    Raises Forbidden, Invalid.
    """
    require(uow, actor, "image:new", resource_id=f"{group}/")
    rows = list(uow.all(_in_store, group=group))
    by_reference = {reference: facts for facts in found for reference in facts.references}
    new, gone, seen = [], [], 0
    for row in rows:
        facts = by_reference.get(row.reference)
        if facts is not None:
            store_facts(uow, row.id, facts)
            seen += 1
        elif row.state == "there":
            store_state(uow, row.id, "missing")
            gone.append(row.name)
    known = {row.reference for row in rows}
    for reference, facts in sorted(by_reference.items()):
        if reference in known or reference.startswith(f"{LOCAL}/dais/"):  # what an account made and has forgotten
            continue
        made = enter_image(uow, group, None, reference, actor.id, origin="rescan")
        store_facts(uow, made.id, facts)
        new.append(made.name)
    return answers.Rescanned(new=new, seen=seen, gone=gone)


def enter_found(
    uow: UnitOfWork, actor: Actor, group: str, host: str, references: Sequence[str], match: str = ""
) -> answers.Rescanned:
    """Write what a registry has: what is new is the installation's. What is gone there is told, and stays as it is.

    Raises Forbidden, TooMany.
    """
    require(uow, actor, "image:new", resource_id=f"{group}/")
    known = {row.reference: row for row in uow.all(_in_store, group=group) if row.account_id is None}
    new = [
        enter_image(uow, group, None, reference, actor.id, origin="rescan").name
        for reference in references
        if reference not in known
    ]
    gone = [row.name for reference, row in known.items() if reference not in references and _is_of(row, host, match)]
    return answers.Rescanned(new=new, seen=len(references) - len(new), gone=sorted(gone))


def _is_of(row: Row, host: str, match: str) -> bool:
    reference = parse_reference(row.reference)
    return reference.registry == host and reference.tag is not None and fnmatchcase(reference.repository, match or "*")


def check_labels(labels: Mapping[str, str]) -> None:
    """Raises Invalid `bad-label`."""
    if len(labels) > MOST_LABELS:
        raise Invalid(f"{len(labels)} labels are more than {MOST_LABELS}", code="bad-label")
    for name, value in labels.items():
        if not _label.fullmatch(name) or name.startswith("dais."):
            raise Invalid(
                f"{name[:80]!r} cannot name a label: letters, digits, '.', '_', '/' and '-', and not dais.…",
                code="bad-label",
            )
        if len(value) > 4096 or "\0" in value:
            raise Invalid(f"the value of the label {name} has {len(value):,} characters, or a NUL", code="bad-label")


def _row_to_make(
    uow: UnitOfWork,
    actor: Actor,
    group: str,
    where: Account | None,
    name: str,
    reference: str,
    origin: str,
    *,
    replace: bool,
) -> Row:
    owner = where.id if where else None
    for row in uow.all(_in_store, group=group):
        if (row.name, row.reference, row.account_id) != (name, reference, owner):
            continue
        never = row.state == "failed" and row.engine_id is None and row.origin == origin
        if not (replace or never):
            if origin != "build":
                break
            raise Conflict(
                f"there is an image {name!r} already; choose another name, or put the new one in its place: --replace",
                code="already-exists",
                name=name,
            )
        require_on(uow, actor, "image:set", resource_of_image(uow, row))
        if row.state == "building":
            raise Invalid(f"the image {name} is being built already", code="image-not-ready")
        store_state(uow, row.id, "building")
        return row
    return enter_image(uow, group, owner, reference, actor.id, origin=origin, name=name, state="building")


def _checked_bases(
    uow: UnitOfWork, actor: Actor, where: Account | None, text: str, arguments: Mapping[str, str]
) -> tuple[str, ...]:
    """The images that a Dockerfile begins from, whole. Administrators alone let the engine fetch anything else."""
    parsed = instructions(text)
    if not may(uow, actor, "installation:set", resource_at(uow, "installation")):
        for one in remote_sources(parsed):
            raise Invalid(
                f"line {one.line}: {one}: ADD of an address is for administrators, for the engine itself would fetch "
                "it; fetch it in a RUN step, or put the file into the context",
                code="build-failed",
                line=one.line,
            )
    found: dict[str, None] = {}
    try:
        for one, image in base_images(parsed, arguments):
            try:
                reference = parse_reference(image)
            except ValueError as error:
                raise ValueError(f"line {one.line}: {one}: {error}") from error
            if where is not None and reference.registry != LOCAL:
                check_usable(uow, where.organization_id, where.full_name.partition(".")[0], reference.registry)
            _check_local_base(where, reference.repository, reference.registry, one.line)
            found[str(reference)] = None
    except ValueError as error:
        raise Invalid(f"the Dockerfile cannot be built: {error}", code="build-failed") from error
    return tuple(found)


def _check_local_base(where: Account | None, repository: str, registry: str, line: int) -> None:
    """What other accounts made here is theirs, also as a base."""
    if where is None or registry != LOCAL or not repository.startswith("dais/"):
        return
    if repository.split("/")[1] not in (where.full_name, where.id, "installation"):
        raise ValueError(f"line {line}: {registry}/{repository} belongs to another account")
