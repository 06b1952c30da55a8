"""The service `storage`: files, their upload in sessions, and file sets."""

from __future__ import annotations

import re
from typing import Any

from dais.api.compat.acai.calls import Call, Calls, entity, plain_ref, short
from dais.data import (
    Directory,
    LakeFile,
    Session,
    SetVersion,
    abort_session,
    begin_session,
    commit_session,
    create_file_set,
    end_session,
    get_file,
    get_file_set,
    list_directory_files,
    list_file_set_files,
    list_file_set_versions,
    list_file_sets,
    list_file_versions,
    poll_session,
)
from dais.kit.errors import Invalid, NotFound

calls = Calls()

MOST = 100_000
"""Entries that one answer has; ACAI knows no pages."""

_file_id = re.compile(r"([0-9a-f-]{36})\.(\d{1,6})")


async def all_pages(call: Call, verb: Any, *args: Any, **kwargs: Any) -> list[Any]:
    """Everything that a verb lists page by page."""
    found: list[Any] = []
    cursor: str | None = None
    while len(found) < MOST:
        page = await call.read(verb, *args, **kwargs, account=call.account.id, limit=1000, cursor=cursor)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found
    raise Invalid(
        f"there are more than {MOST:,}; ask for them page by page with `dais file ls`", code="too-many-entries"
    )


@calls.add("POST", "/storage/start_file_upload_session")
async def start(call: Call) -> Any:
    """`hashes` are not of the contents alone, and cannot be checked; `storage_class` makes no difference."""
    paths = call.texts("paths")
    made: str = await call.write(begin_session, call.account.id, paths)
    links = [call.links.put(call.actor, made, number) for number in range(len(paths))]
    return {
        "session_id": made,
        "file_ids": [f"{made}.{number}" for number in range(len(paths))],
        "files": [{"path": path, "s3_url": link} for path, link in zip(paths, links, strict=True)],
    }


@calls.add("POST", "/storage/finish_upload")
async def finish_upload(call: Call) -> Any:
    """Give uploaded files their versions; asked twice it answers the same."""
    session_id = call.text("session_id")
    numbers = []
    for one in call.texts("paths"):
        found = _file_id.fullmatch(one)
        if found is None or found[1] != session_id:
            raise NotFound(f"Entity {one[:80]} does not exist.", code="no-such-file")
        numbers.append(int(found[2]))
    sizes = [size for size in call.items("sizes") if isinstance(size, int)]
    done: list[str] = await call.write(commit_session, session_id, numbers, sizes)
    return {"uploaded_file_ids": [short(one) for one in done]}


@calls.add("POST", "/storage/finish_file_upload_session")
async def finish(call: Call) -> Any:
    """Commit what has not been, and end the session; asked twice it answers the same."""
    return _session(await call.write(end_session, call.text("session_id")))


@calls.add("POST", "/storage/abort_file_upload_session")
async def abort(call: Call) -> Any:
    """Nothing of what was not finished can be seen, ever."""
    return _session(await call.write(abort_session, call.text("session_id")))


@calls.add("GET", "/storage/poll_file_upload_session")
async def poll(call: Call) -> Any:
    """Whether all has come; then it is committed. Older clients ask until it is, and finish the session after that."""
    return _session(await call.write(poll_session, call.text("session_id")))


def _session(found: Session) -> Any:
    return {"committed": found.state == "done", "uploaded_file_ids": [short(one) for one in found.files]}


@calls.add("GET", "/storage/list_directory")
async def list_directory(call: Call) -> Any:
    """Directories have no version: -1."""
    where = call.text("directory_path", "/")
    with entity(where):
        found = await all_pages(call, list_directory_files, where)
    return [_entry(one) for one in found]


def _entry(one: LakeFile | Directory) -> Any:
    inside = isinstance(one, Directory)
    version = -1 if isinstance(one, Directory) else one.version
    return {"path": one.path, "version": version, "dir": inside, "is_dir": inside}


@calls.add("GET", "/storage/download_file")
async def download_file(call: Call) -> Any:
    """An address for one version, without one the latest."""
    path = plain_ref(call.text("path"))
    with entity(path):
        found: LakeFile = await call.read(get_file, path, account=call.account.id)
    return {"s3_url": call.links.get(call.actor, found.id), "id": short(found.name)}


@calls.add("POST", "/storage/download_files")
async def download_files(call: Call) -> Any:
    """Addresses for several."""
    answers = []
    for path in call.texts("paths"):
        with entity(path):
            found: LakeFile = await call.read(get_file, plain_ref(path), account=call.account.id)
        url = call.links.get(call.actor, found.id)
        answers.append({"path": short(found.name), "s3_url": url, "url": url})
    return {"files": answers, "s3_urls": [one["s3_url"] for one in answers]}


@calls.add("GET", "/storage/list_file_versions")
async def file_versions(call: Call) -> Any:
    """The newest first."""
    path = call.text("path")
    with entity(path):
        found: list[LakeFile] = await all_pages(call, list_file_versions, path)
    return [{"id": short(one.name), "path": one.path, "version": one.version, "size": one.size} for one in found]


@calls.add("GET", "/storage/resolve_vague_path")
async def resolve_vague_path(call: Call) -> Any:
    """Which version a path means, or that it is a directory."""
    path = plain_ref(call.text("vague_path"))
    with entity(path):
        if not path.endswith("/"):
            try:
                found: LakeFile = await call.read(get_file, path, account=call.account.id)
            except NotFound as error:
                if error.code != "no-such-file":
                    raise
            else:
                return {"id": short(found.name), "version_specific_path": found.name, "is_dir": False}
        await call.read(list_directory_files, path, account=call.account.id, limit=1)
    return {"id": path, "version_specific_path": path, "is_dir": True}


@calls.add("POST", "/storage/change_status")
async def change_status(call: Call) -> Any:
    """Contents are kept in one class of storage; that the file is there is all that is looked at."""
    path = plain_ref(call.text("path"))
    with entity(path):
        await call.read(get_file, path, account=call.account.id)
    return {}


@calls.add("POST", "/storage/create_file_set")
async def new_set(call: Call) -> Any:
    """Of files and other sets; `hash` is for ACAI's own bookkeeping."""
    files = [one if one.startswith("@") else plain_ref(one) for one in call.texts("files")]
    with entity(", ".join(files[:3])):
        made: SetVersion = await call.write(
            create_file_set, call.text("name"), files, account=call.account.id, always=True
        )
    return await _content(call, made)


@calls.add("GET", "/storage/resolve_file_set")
async def resolve_set(call: Call) -> Any:
    """What a set holds."""
    return await _content(call, await _set(call))


@calls.add("GET", "/storage/download_file_set")
async def download_set(call: Call) -> Any:
    """An address for each file of a set."""
    found = await _set(call)
    files: list[LakeFile] = await all_pages(call, list_file_set_files, found.full_name)
    return {
        "id": found.full_name,
        "files": [{"path": one.path, "url": call.links.get(call.actor, one.id)} for one in files],
    }


@calls.add("GET", "/storage/list_file_set_versions")
async def set_versions(call: Call) -> Any:
    """The newest first."""
    name = call.text("name").removeprefix("@")
    with entity(name):
        found: list[SetVersion] = await all_pages(call, list_file_set_versions, name)
    return [{"id": one.full_name, "name": one.name, "version": one.version} for one in found]


@calls.add("GET", "/storage/list_file_sets")
async def sets(call: Call) -> Any:
    """The names of all sets, each with its latest version."""
    found: list[SetVersion] = await all_pages(call, list_file_sets)
    return [one.full_name for one in found]


async def _set(call: Call) -> SetVersion:
    name = plain_ref(call.text("vague_name").removeprefix("@"))
    with entity(name):
        found: SetVersion = await call.read(get_file_set, name, account=call.account.id)
    return found


async def _content(call: Call, found: SetVersion) -> Any:
    files: list[LakeFile] = await all_pages(call, list_file_set_files, found.full_name)
    return {"id": found.full_name, "files": [short(one.name) for one in files]}
