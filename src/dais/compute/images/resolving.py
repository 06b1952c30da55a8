"""From what a job calls its image to content: at the submit, which pins what it found."""

from __future__ import annotations

import msgspec

from dais.compute.images.catalogue import candidates, candidates_near, no_such_image, resource_of_image
from dais.compute.images.changes import enter_image
from dais.compute.images.labels import counted_variables, minimum, python_of, service_ports
from dais.compute.images.registries import check_usable
from dais.compute.images.types import Pin, Resolved
from dais.identity import Account, Actor, may, require
from dais.kit.database import Row, UnitOfWork
from dais.kit.errors import DaisError, Invalid
from dais.wire.references import LOCAL, is_digest, parse_reference
from dais.wire.spec import JobSpec, Resources


def resolve_image(uow: UnitOfWork, actor: Actor, spec: JobSpec, group: Row, account: Account) -> Resolved:
    """What the job's image means in a group with an image store. Changes nothing.

    It is a name or an alias in the catalogue (the account's own before the installation's), a digest or an id, or a
    reference, which need not be in the catalogue if its registry may be used. Raises Invalid `no-image`,
    `no-such-image`, `wrong-architecture`, `below-image-minimum`, `bad-image`, Forbidden `registry-not-allowed`.
    """
    name = spec.image or group.default_image
    if not name:
        raise Invalid(
            f"jobs of group {group.name} start from an image, and it has none of its own: name one, as in "
            "--image python:3.12",
            code="no-image",
        )
    if len(name) > 255:
        raise Invalid(
            f"the image {name[:80]!r}… has {len(name)} characters; at most 255 can be named", code="bad-image"
        )
    if name == "host":
        raise Invalid(
            f"group {group.name} has no image 'host', the machine's own tools: name one, as in --image python:3.12",
            code="no-such-image",
        )
    for row in candidates(uow, group.name, account.id, name):
        if may(uow, actor, "image:get", resource_of_image(uow, row)):
            return _known(uow, spec, group, account, row)
    return _unknown(uow, actor, group, account, name)


def enter(uow: UnitOfWork, actor: Actor, resolved: Resolved, group: str, account: Account) -> str:
    """The id of the job's image, which is put into the account's catalogue if it is in none yet."""
    if resolved.image_id is not None:
        return resolved.image_id
    return str(enter_image(uow, group, account.id, resolved.pin.reference, actor.id, origin="job").id)


def pin_of(row: Row) -> Pin:
    """The content that an image has now."""
    labels = msgspec.json.decode(row.labels, type=dict[str, str])
    return Pin(
        reference=row.reference,
        id=row.engine_id,
        digest=row.digest,
        python=row.python if row.python is not None else python_of(labels),
        path=row.search_path,
        counted=counted_variables(labels),
        services=service_ports(labels),
    )


def check_minimum(row: Row, asked: Resources) -> None:
    """Raises Invalid `below-image-minimum` when the image's labels say that a job needs more."""
    lacking = minimum(msgspec.json.decode(row.labels, type=dict[str, str])).lacking(asked)
    if lacking is not None:
        raise Invalid(
            f"the image {row.name} wants more than the job asks for; ask for at least: {lacking}",
            code="below-image-minimum",
            image=row.name,
        )


def _known(uow: UnitOfWork, spec: JobSpec, group: Row, account: Account, row: Row) -> Resolved:
    if row.state == "building":
        raise Invalid(
            f"the image {row.name} is being built; wait until it is there: dais image get {row.name}",
            code="image-not-ready",
        )
    if row.state == "failed" and row.problem_code == "wrong-architecture":
        raise Invalid(
            f"the image {row.name} cannot run in group {group.name}: {row.problem}", code="wrong-architecture"
        )
    if row.state == "failed" and row.origin == "build":
        raise Invalid(f"the image {row.name} could not be built: {row.problem}", code="build-failed")
    reference = parse_reference(row.reference)
    if reference.registry != LOCAL and row.account_id is not None:
        # What an account put into its catalogue once may have been forbidden since.
        check_usable(uow, account.organization_id, _organization(account), reference.registry)
    check_minimum(row, spec.resources)
    if spec.requirements and row.python == "":
        raise Invalid(
            f"{spec.requirements} cannot be installed: the image {row.name} has no Python",
            code="requirements-with-image",
        )
    return Resolved(pin=pin_of(row), image_id=row.id)


def _unknown(uow: UnitOfWork, actor: Actor, group: Row, account: Account, name: str) -> Resolved:
    missing = no_such_image(uow, actor, group.name, account, name)
    if is_digest(name):
        raise _invalid(missing)
    try:
        reference = parse_reference(name)
    except ValueError as error:
        raise Invalid(f"{name[:120]!r} names no image: {error}", code="bad-image") from error
    bare = "/" not in name and ":" not in name and "@" not in name
    if reference.registry == LOCAL or (bare and candidates_near(uow, group.name, account.id, name)):
        raise _invalid(missing)
    check_usable(uow, account.organization_id, _organization(account), reference.registry)
    require(uow, actor, "image:new", account_id=account.id)
    return Resolved(pin=Pin(reference=str(reference)), image_id=None)


def _organization(account: Account) -> str:
    return account.full_name.partition(".")[0]


def _invalid(error: DaisError) -> Invalid:
    return Invalid(error.message, code=error.code, **error.fields)
