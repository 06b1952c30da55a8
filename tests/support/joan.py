"""People who sign in to a site."""

from __future__ import annotations

from dais.identity import create_user
from dais.kit.database import UnitOfWork
from tests.support.site import Site

PASSWORD = "lantern otter violin"
OTHER = "granite whisper marmalade"


async def joan(site: Site) -> str:
    """The id of a user `local.joan` with a password of her own."""

    def make(uow: UnitOfWork) -> str:
        return create_user(uow, site.world.actor, "joan", email="joan@example.org").id

    user_id: str = await site.world.db.write(make)
    await site.services.desk.set_password(site.world.actor, user_id, PASSWORD, must_change=False)
    return user_id


async def demand(site: Site, demanded: int = 1) -> None:
    """Demand a second factor of everybody, or no more."""

    def on(uow: UnitOfWork) -> None:
        uow._connection.cursor().execute(f"UPDATE organizations SET mfa_required = {demanded}")

    await site.world.db.write(on)
