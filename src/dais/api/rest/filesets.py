"""File sets: make, list, look, compare, remove."""

from __future__ import annotations

from dais.api.context import Context
from dais.api.rest.files import file_answer
from dais.api.routing import Reply, Routes
from dais.compute import remove_unused_file_set
from dais.data import (
    SetVersion,
    compare_file_sets,
    create_file_set,
    get_file_set,
    list_file_set_files,
    list_file_set_versions,
    list_file_sets,
)
from dais.identity import urn
from dais.kit.clock import to_rfc3339
from dais.wire import answers
from dais.wire.lake import FileChange, FileSetVersion, FileVersion, NewFileSet, Removed

routes = Routes()

MAX_NEW = 64 << 20


@routes.post(
    "/v1/filesets",
    status=201,
    summary="Make a version of a file set",
    max_body=MAX_NEW,
    action=("fileset:new", "file:get", "fileset:get"),
)
async def new_file_set(ctx: Context, body: NewFileSet) -> Reply[FileSetVersion]:
    """Of files (`/a:3`), directories (`/a/`) and sets (`@set:1`); without versions the latest.

    200 instead of 201: the latest version is the same, and is answered. Two versions of one file are refused with
    `path-conflict`, unless `force` takes the one named last.
    """
    made: SetVersion = await ctx.db.write(
        create_file_set,
        ctx.actor,
        body.name,
        body.entities,
        account=body.account,
        force=body.force,
        always=body.always,
    )
    return Reply(set_answer(made, state="new" if made.new else "same"), 201 if made.new else 200)


@routes.get("/v1/filesets", summary="List file sets", action="fileset:list")
async def file_sets(
    ctx: Context, account: str | None = None, limit: int = 100, cursor: str | None = None
) -> answers.Page[FileSetVersion]:
    """The sets of an account by name, each with its latest version."""
    page = await ctx.db.read(list_file_sets, ctx.actor, account=account, limit=limit, cursor=cursor)
    return answers.Page(items=[set_answer(one) for one in page.items], cursor=page.cursor)


@routes.get("/v1/filesets/{name}", summary="Show a version of a file set", action="fileset:get")
async def file_set(ctx: Context, name: str, account: str | None = None) -> FileSetVersion:
    """`NAME` is the latest version, `NAME:2` the second."""
    return set_answer(await ctx.db.read(get_file_set, ctx.actor, name, account=account))


@routes.get("/v1/filesets/{name}/files", summary="List what a version of a file set holds", action="fileset:get")
async def files(
    ctx: Context, name: str, account: str | None = None, limit: int = 100, cursor: str | None = None
) -> answers.Page[FileVersion]:
    """Versions of files by path. Their contents are downloaded as those of any file, `PATH:VERSION`."""
    page = await ctx.db.read(list_file_set_files, ctx.actor, name, account=account, limit=limit, cursor=cursor)
    return answers.Page(items=[file_answer(file) for file in page.items], cursor=page.cursor)


@routes.get("/v1/filesets/{name}/versions", summary="List the versions of a file set", action="fileset:get")
async def versions(
    ctx: Context, name: str, account: str | None = None, limit: int = 100, cursor: str | None = None
) -> answers.Page[FileSetVersion]:
    """The newest first."""
    page = await ctx.db.read(list_file_set_versions, ctx.actor, name, account=account, limit=limit, cursor=cursor)
    return answers.Page(items=[set_answer(one) for one in page.items], cursor=page.cursor)


@routes.get("/v1/filesets/{name}/diff", summary="Compare two versions of file sets", action="fileset:get")
async def diff(ctx: Context, name: str, to: str, account: str | None = None) -> answers.Page[FileChange]:
    """What is added, removed and changed from one to the other."""
    changes = await ctx.db.read(compare_file_sets, ctx.actor, name, to, account=account)
    return answers.Page(items=changes)


@routes.delete("/v1/filesets/{name}", summary="Remove a file set, or a version of it", action="fileset:rm")
async def remove(ctx: Context, name: str, account: str | None = None) -> Removed:
    """Its files stay. What another set was made of is refused with `in-use`."""
    return Removed(name=name, versions=await ctx.db.write(remove_unused_file_set, ctx.actor, name, account=account))


def set_answer(found: SetVersion, *, state: str = "") -> FileSetVersion:
    """A version of a set as the API tells it."""
    return FileSetVersion(
        id=found.id,
        name=found.name,
        version=found.version,
        urn=urn(found.organization_id, found.account_id, "fileset", found.name),
        account=found.account,
        account_id=found.account_id,
        files=found.files,
        size=found.size,
        digest=found.digest,
        made_by=found.made_by,
        made_by_id=found.made_by_id,
        parents=list(found.parents),
        created_by=found.created_by,
        created_at=to_rfc3339(found.created_at),
        state=state,
    )
