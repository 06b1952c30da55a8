"""What keeps and makes the images of a group, for those who ask over HTTP."""

from __future__ import annotations

from dais.api.context import Context
from dais.compute import ImageKeeper, ImageMaker
from dais.engines.contract import Rooted
from dais.kit.errors import Unavailable


def keeper_of(ctx: Context, group: str) -> ImageKeeper:
    """Raises Unavailable `no-image-store` while the group's engine is not open, or when it keeps no images."""
    found = ctx.services.compute.groups.get(group)
    if found is None or found.images is None:
        raise Unavailable(
            f"the image store of group {group} cannot be reached now; see `dais group get {group}`",
            code="no-image-store",
        )
    return found.images


def maker_of(ctx: Context, group: str) -> ImageMaker:
    """Raises as `keeper_of`."""
    keeper_of(ctx, group)
    maker = ctx.services.compute.groups[group].maker
    assert maker is not None
    return maker


def rooted(ctx: Context, group: str) -> Rooted:
    """The engine of a group that starts from root directories. Raises Unavailable `no-root-images`."""
    engine: object = ctx.services.engines.get(group)
    if not isinstance(engine, Rooted):
        raise Unavailable(f"the engine of group {group} cannot start from root directories", code="no-root-images")
    return engine
