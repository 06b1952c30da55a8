"""Fetching, making and removing images: what REST and the pages do alike around the verbs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from dais.api.context import Services
from dais.compute import (
    ImageKeeper,
    ImageMaker,
    NewBuild,
    add_image,
    begin_build,
    begin_commit,
    begin_import,
    check_new_image,
    forget_image,
    owner_of,
    remove_image,
    rescan_store,
    secret_values,
    see_image,
    source_image,
    store_group,
)
from dais.data import pin_source, source_file
from dais.engines.contract import BuildRequest, ImageProblem, LaunchRefused, Rooted
from dais.identity import Actor, require, resolve_account
from dais.kit.database import UnitOfWork
from dais.kit.errors import Conflict, Invalid, NotFound, Unavailable
from dais.kit.vault import Vault
from dais.wire import answers


def keeper_of(services: Services, group: str) -> ImageKeeper:
    """Raises Unavailable `no-image-store` while the group's engine is not open, or when it keeps no images."""
    found = services.compute.groups.get(group)
    if found is None or found.images is None:
        raise Unavailable(
            f"the image store of group {group} cannot be reached now; see `dais group get {group}`",
            code="no-image-store",
        )
    return found.images


def maker_of(services: Services, group: str) -> ImageMaker:
    """Raises as `keeper_of`."""
    keeper_of(services, group)
    maker = services.compute.groups[group].maker
    assert maker is not None
    return maker


def rooted(services: Services, group: str) -> Rooted:
    """The engine of a group that starts from root directories. Raises Unavailable `no-root-images`."""
    engine: object = services.engines.get(group)
    if not isinstance(engine, Rooted):
        raise Unavailable(f"the engine of group {group} cannot start from root directories", code="no-root-images")
    return engine


async def add_root_image(services: Services, actor: Actor, group: str, name: str, path: str) -> answers.Image:
    """Register a root directory that the group's engine finds sound. Raises Invalid `bad-root`, Forbidden, Conflict."""
    await services.db.read(check_new_image, actor, group, name)
    try:
        facts = await rooted(services, group).add_root(path)
    except LaunchRefused as error:
        raise Invalid(str(error), code="bad-root", path=path) from error
    return await services.db.write(add_image, actor, group, name, path, facts)  # type: ignore[no-any-return]


async def remove_root_image(services: Services, actor: Actor, group: str, name: str) -> None:
    """Forget a root directory; it stays as it is. Raises NotFound, Forbidden, Conflict, Unavailable."""
    path = await services.db.write(remove_image, actor, group, name)
    if path is not None:
        try:
            await rooted(services, group).remove_root(path)
        except LaunchRefused as error:
            raise Unavailable(f"the image is removed, but the node keeps {path}: {error}", code="no-engine") from error


async def rescan_group(services: Services, actor: Actor, group: str | None) -> answers.Rescanned:
    """Write down what an engine's store has. Administrators only."""
    name = await services.db.read(store_group, group)
    await services.db.read(require, actor, "image:new", resource_id=f"{name}/")
    found = await keeper_of(services, name).store.images()
    return await services.db.write(rescan_store, actor, name, found)  # type: ignore[no-any-return]


async def build_image(services: Services, actor: Actor, wanted: NewBuild) -> answers.Image:
    """Begin to build from a stored source, for whoever follows its log.

    Raises NotFound, Invalid, Conflict, Forbidden, Unavailable.
    """
    group = await services.db.read(store_group, wanted.group)
    await _may_make(services, actor, group, wanted.account, wanted.name, wanted.installation)
    maker = maker_of(services, group)
    if not await asyncio.to_thread(pin_source, services.blobs, wanted.source):
        raise NotFound(f"source {wanted.source} is not in the blob store; upload it first", code="no-such-source")
    text = await asyncio.to_thread(source_file, services.blobs, wanted.source, wanted.dockerfile)
    if text is None:
        raise Invalid(f"the context has no file {wanted.dockerfile!r}; name another with --file", code="build-failed")
    secrets = await services.db.read(_secrets, actor, services.vault, wanted) if wanted.secrets else {}
    begun = await services.db.write(begin_build, actor, wanted, text.decode(errors="replace"))
    request = BuildRequest(
        context="",
        reference=begun.reference,
        dockerfile=wanted.dockerfile,
        arguments=wanted.arguments,
        labels=wanted.labels,
        secrets=secrets,
        cache=wanted.cache,
        time=wanted.time,
    )
    maker.build(begun, wanted.source, request)
    return await services.db.read(see_image, actor, begun.group, wanted.account, begun.image_id)  # type: ignore[no-any-return]


async def forget_container_image(
    services: Services, actor: Actor, group: str | None, account: str | None, name: str, *, from_store: bool = False
) -> None:
    """Take a container image out of the catalogue, and with `from_store` out of the engine's store.

    Raises NotFound, Forbidden, Conflict (`in-use`; or why the engine keeps it).
    """
    where = await services.db.read(source_image, actor, group, account, name)
    row = await services.db.write(forget_image, actor, where.group_name, account, where.id)
    if from_store:
        try:
            await keeper_of(services, row.group_name).store.remove_image(row.reference)
        except ImageProblem as error:
            raise Conflict(
                f"the catalogue has forgotten {row.name}, and the engine keeps it: {error}", code=error.code
            ) from error


async def pull_image(
    services: Services, actor: Actor, group: str | None, account: str | None, name: str
) -> answers.Image:
    """Begin to fetch an image, also where an older one is there. Raises NotFound, Forbidden, Invalid."""
    row = await services.db.read(source_image, actor, group, account, name, "image:set")
    try:
        await keeper_of(services, row.group_name).begin(row.id)
    except ImageProblem as error:
        raise Invalid(str(error), code=error.code) from error
    return await services.db.read(see_image, actor, row.group_name, account, row.id)  # type: ignore[no-any-return]


async def import_image(
    services: Services,
    actor: Actor,
    source: tuple[str | None, str | None, str],
    name: str,
    labels: Mapping[str, str],
    *,
    account: str | None = None,
    installation: bool = False,
) -> answers.Image:
    """Begin to make an image with more labels; `source` is the group, the account and the name of the one it is of.

    Raises NotFound, Invalid, Conflict, Forbidden.
    """
    found = await services.db.read(source_image, actor, *source)
    await _may_make(services, actor, found.group_name, account, name, installation)
    maker = maker_of(services, found.group_name)
    begun = await services.db.write(
        begin_import, actor, found, name, labels, account=account, installation=installation
    )
    maker.relabel(begun, found.id, found.engine_id or found.reference, labels)
    return await services.db.read(see_image, actor, begun.group, account, begun.image_id)  # type: ignore[no-any-return]


async def commit_job(
    services: Services, actor: Actor, job: str, name: str, labels: Mapping[str, str], account: str | None = None
) -> answers.Image:
    """Begin to make an image of what a running job has written. Raises NotFound, Conflict, Invalid, Forbidden."""
    begun, work = await services.db.write(begin_commit, actor, job, name, labels, account)
    _, handle = services.compute.running(work)
    maker_of(services, begun.group).commit(begun, handle, labels)
    return await services.db.read(see_image, actor, begun.group, work.account, begun.image_id)  # type: ignore[no-any-return]


def _secrets(uow: UnitOfWork, actor: Actor, vault: Vault, wanted: NewBuild) -> dict[str, bytes]:
    return secret_values(uow, actor, vault, resolve_account(uow, actor, wanted.account), wanted.secrets)


async def _may_make(
    services: Services, actor: Actor, group: str, account: str | None, name: str, installation: bool
) -> None:
    """Asked before what the engine and the context have to say."""
    await services.db.read(owner_of, actor, group, account, name, installation=installation)
