"""Dotfiles: small files in the home of the asker's own interactive jobs, and the script `bootstrap`."""

from __future__ import annotations

import base64
import binascii
from typing import Literal

import msgspec

from dais.api.context import Context
from dais.api.routing import Routes
from dais.compute import get_dotfile, list_dotfiles, read_dotfile, remove_dotfile, set_dotfile
from dais.kit.errors import Invalid
from dais.wire import answers

routes = Routes()

MOST_BODY = 256 << 10


class DotfileContent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most 64 KiB, as text or in base64; `mode` in octal digits."""

    content: str
    encoding: Literal["utf-8", "base64"] = "utf-8"
    mode: str = "644"


class DotfileText(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a dotfile, in base64."""

    path: str
    mode: str
    content: str


@routes.get("/v1/dotfiles", summary="List your dotfiles", own="their own files")
async def dotfiles(ctx: Context) -> list[answers.Dotfile]:
    found: list[answers.Dotfile] = await ctx.db.read(list_dotfiles, ctx.actor)
    return found


@routes.get("/v1/dotfiles/content", summary="Read one of your dotfiles", own="their own files")
async def dotfile(ctx: Context, path: str) -> DotfileText:
    found: answers.Dotfile = await ctx.db.read(get_dotfile, ctx.actor, path)
    content: bytes = await ctx.db.read(read_dotfile, ctx.actor, ctx.services.vault, path)
    return DotfileText(path=found.path, mode=found.mode, content=base64.b64encode(content).decode())


@routes.put("/v1/dotfiles", summary="Set one of your dotfiles", own="their own files")
async def put_dotfile(ctx: Context, path: str, body: DotfileContent) -> answers.Dotfile:
    """Interactive jobs that start from now on have it in their home; `bootstrap` is run there before the command."""
    try:
        content = body.content.encode() if body.encoding == "utf-8" else base64.b64decode(body.content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("the content is not base64", code="bad-content") from error
    try:
        mode = int(body.mode, 8)
    except ValueError as error:
        raise Invalid(f"mode {body.mode[:20]!r} is no octal number such as 644", code="bad-mode") from error
    made: answers.Dotfile = await ctx.db.write(set_dotfile, ctx.actor, ctx.services.vault, path, content, mode)
    return made


@routes.delete("/v1/dotfiles", summary="Remove one of your dotfiles", status=204, own="their own files")
async def delete_dotfile(ctx: Context, path: str) -> None:
    await ctx.db.write(remove_dotfile, ctx.actor, path)
