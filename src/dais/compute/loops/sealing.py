"""Taking what a run wrote below its output: as a file set when it succeeded, else as a manifest that is kept aside.

Contents go into the blob store first, then one transaction makes the set. So after a crash anywhere it is begun again,
finds most contents there, and makes one set.
"""

from __future__ import annotations

import asyncio

from dais.compute.jobs.outputs import NOTHING_KEPT, Sealing, refuse_output, store_output, store_partial
from dais.compute.jobs.progress import UPLOADING
from dais.compute.loops.group import Group
from dais.compute.loops.moving import Moved, told
from dais.compute.loops.spares import WORK
from dais.data import Found, LakeFile, look_through, read_source, set_files, store_source, take, words_of
from dais.kit.errors import DaisError
from dais.wire.lake import NewVersion
from dais.wire.transfers import SourceFile, SourceManifest

_for_now = ("unavailable", "too-many")
"""Families of errors that may be over the next time."""


async def seal(group: Group, sealing: Sealing) -> None:
    """Take a run's output. Raises OSError, and DaisError for what may be over the next time."""
    try:
        if sealing.succeeded:
            await _seal(group, sealing)
        else:
            await _keep_aside(group, sealing)
    except DaisError as error:
        if error.family in _for_now:
            raise
        if sealing.succeeded:
            await group.db.write(refuse_output, sealing.run_id, f"the output {sealing.output.path}: {error.message}")
            await _keep_aside_if_possible(group, sealing)
        else:
            await group.db.write(store_partial, sealing.run_id, NOTHING_KEPT)


async def _seal(group: Group, sealing: Sealing) -> None:
    work, path = group.run_directory(sealing.run_id) / WORK, sealing.output.path
    found = await asyncio.to_thread(look_through, work, path, most=group.settings.output_limit)
    files = await _take(group, sealing, found)
    warnings = []
    if not files:
        warnings.append(f"nothing was written below {path}: the file set is empty")
    if found.left_out:
        warnings.append(f"the file set has files alone; left out: {words_of(found.left_out)}")
    await group.db.write(store_output, sealing.run_id, files, warnings)


async def _keep_aside_if_possible(group: Group, sealing: Sealing) -> None:
    try:
        await _keep_aside(group, sealing)
    except DaisError as error:
        if error.family in _for_now:
            raise
        await group.db.write(store_partial, sealing.run_id, NOTHING_KEPT)


async def _keep_aside(group: Group, sealing: Sealing) -> None:
    """Nothing of it becomes a version of a file: what is half done is not the newest of anything."""
    most = group.settings.partial_limit
    digest = NOTHING_KEPT
    if most > 0:
        work = group.run_directory(sealing.run_id) / WORK
        found = await asyncio.to_thread(look_through, work, sealing.output.path, most=most)
        files = await _take(group, sealing, found) if found.files else []
        if files:
            digest = (await asyncio.to_thread(store_source, group.blobs, _manifest(files))).digest
    await group.db.write(store_partial, sealing.run_id, digest)


async def _take(group: Group, sealing: Sealing, found: Found) -> list[NewVersion]:
    work = group.run_directory(sealing.run_id) / WORK
    given = await _given(group, sealing)
    async with told(group.db, sealing.run_id, UPLOADING, Moved(found.size)) as moved:
        files = await asyncio.to_thread(take, group.blobs, work, found.files, moved.add)
    return [file for file in files if given.get(file.path) != (file.digest, file.executable)]


async def _given(group: Group, sealing: Sealing) -> dict[str, tuple[str, bool]]:
    """What lay below the output already when the run began, by path: the same is no output of it."""
    below = f"/{sealing.output.path}/"
    given: dict[str, tuple[str, bool]] = {}
    if sealing.source is not None:
        for one in (await asyncio.to_thread(read_source, group.blobs, sealing.source)).files:
            given[f"/{one.path}"] = (one.digest, one.executable)
    for set_version_id in sealing.inputs:
        files: list[LakeFile] = await group.db.read(set_files, set_version_id)
        given.update({file.path: (file.digest, file.executable) for file in files})
    return {path: content for path, content in given.items() if path.startswith(below)}


def _manifest(files: list[NewVersion]) -> SourceManifest:
    return SourceManifest(
        files=[
            SourceFile(path=file.path[1:], size=file.size, digest=file.digest, executable=file.executable)
            for file in files
        ]
    )
