"""Asking registries: what REST and the pages do alike around the verbs."""

from __future__ import annotations

from dais.api.context import Services
from dais.compute import asked_registry, enter_found, registry_access, store_group
from dais.identity import Actor
from dais.wire import answers


async def check_registry(services: Services, actor: Actor, host: str) -> answers.RegistryChecked:
    """Whether a registry answers and takes the credentials. Raises NotFound, Forbidden, Invalid, Unavailable."""
    access = await services.db.read(registry_access, actor, services.vault, host)
    async with asked_registry(access) as registry:
        await registry.check()
    return answers.RegistryChecked(host=access.host, username=access.credentials and access.credentials.username)


async def rescan_registry(
    services: Services, actor: Actor, host: str, group: str | None, match: str
) -> answers.Rescanned:
    """Enter every tag that a registry has into the catalogue, as the installation's. Nothing is fetched.

    Raises NotFound, Forbidden, Invalid, TooMany, Unavailable.
    """
    access = await services.db.read(registry_access, actor, services.vault, host)
    where = await services.db.read(store_group, group)
    async with asked_registry(access) as registry:
        found = await registry.references(match)
    return await services.db.write(enter_found, actor, where, access.host, found, match)  # type: ignore[no-any-return]
