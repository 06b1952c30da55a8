"""Images in the making: builds, imports and commits, beside each other and outlived by nothing but their rows."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from dais.compute.images.changes import store_facts, store_state
from dais.compute.images.keeper import ImageKeeper, followed
from dais.compute.images.making import Begun, append_log
from dais.compute.images.registries import credentials_of
from dais.data import BlobStore, materialize
from dais.engines.contract import BuildRequest, Handle, ImageFacts, ImageProblem, Progress
from dais.kit.errors import DaisError
from dais.wire.references import LOCAL, parse_reference

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Builds of one group at the same time."""
FLUSH_SECONDS = 0.5


class ImageMaker:
    """Makes images in a group's store. Each has a row, in the state `building`, before it is begun."""

    def __init__(self, keeper: ImageKeeper, blobs: BlobStore, directory: Path) -> None:
        self._keeper = keeper
        self._blobs = blobs
        self._directory = directory
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """End what is under way; its rows say so."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def build(self, begun: Begun, source: str, request: BuildRequest) -> None:
        """Begin to build from a stored source, after what it is built from has been fetched."""

        async def make() -> ImageFacts:
            context = self._directory / begun.image_id
            async with self._room:
                try:
                    await asyncio.to_thread(_lay_out, self._blobs, source, context)
                    for base in begun.bases:
                        await self._fetch_base(begun.image_id, base)
                    steps = self._keeper.store.build(_in_context(request, context))
                    await self._log(begun.image_id, steps)
                finally:
                    await asyncio.to_thread(shutil.rmtree, context, ignore_errors=True)
            return await self._made(begun.reference)

        self._begin(begun, make)

    def relabel(self, begun: Begun, source_id: str, reference: str, labels: Mapping[str, str]) -> None:
        """Begin to make an image with more labels, of one that is fetched if it is not there."""

        async def make() -> ImageFacts:
            facts = await self._keeper.store.image(reference) or await self._keeper.fetch(source_id)
            return await self._keeper.store.relabel(facts.id, begun.reference, labels)

        self._begin(begun, make)

    def commit(self, begun: Begun, handle: Handle, labels: Mapping[str, str]) -> None:
        """Begin to make an image of a running container."""

        async def make() -> ImageFacts:
            try:
                return await self._keeper.store.commit(handle, begun.reference, labels)
            except LookupError as error:
                raise ImageProblem("not-running", f"the job ended before its image was made: {error}") from error

        self._begin(begun, make)

    def _begin(self, begun: Begun, make: Callable[[], Awaitable[ImageFacts]]) -> None:
        task = asyncio.create_task(self._make(begun, make), name=f"make image {begun.image_id}")
        self._tasks[begun.image_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(begun.image_id, None))

    async def _make(self, begun: Begun, make: Callable[[], Awaitable[ImageFacts]]) -> None:
        db = self._keeper.db
        try:
            facts = await make()
        except asyncio.CancelledError:
            await db.write(store_state, begun.image_id, "failed", "interrupted", "the server stopped meanwhile")
            raise
        except ImageProblem as error:
            await db.write(store_state, begun.image_id, "failed", error.code, str(error))
        except (OSError, DaisError) as error:
            await db.write(store_state, begun.image_id, "failed", "image-failed", str(error))
        except Exception as error:
            log.exception("making image %s failed", begun.image_id)
            words = f"a defect in Dais: {type(error).__name__}: {error}"
            await db.write(store_state, begun.image_id, "failed", "image-failed", words)
        else:
            await db.write(store_facts, begun.image_id, facts)

    async def _fetch_base(self, image_id: str, base: str) -> None:
        """With the registry's credentials, which the engine's own builder does not have."""
        store, host = self._keeper.store, parse_reference(base).registry
        if await store.image(base) is not None:
            return
        if host == LOCAL:
            raise ImageProblem("image-not-found", f"there is no image {base} to build from")
        credentials = await self._keeper.db.read(credentials_of, self._keeper.vault, host)
        await self._log(image_id, store.pull(base, credentials), fetching=base)

    async def _log(self, image_id: str, steps: AsyncIterator[Progress], fetching: str | None = None) -> None:
        """Write what is told, a piece at a time. A pull tells too much for a log: its first word is enough."""
        waiting, last = [f"fetching {fetching}\n"] if fetching else [], time.monotonic()
        try:
            async with followed(steps):
                async for step in steps:
                    if fetching is None:
                        waiting.append(f"{step.text}\n")
                    if waiting and time.monotonic() - last >= FLUSH_SECONDS:
                        await self._keeper.db.write(append_log, image_id, "".join(waiting))
                        waiting, last = [], time.monotonic()
        finally:
            if waiting:
                await self._keeper.db.write(append_log, image_id, "".join(waiting))

    async def _made(self, reference: str) -> ImageFacts:
        facts = await self._keeper.store.image(reference)
        if facts is None:
            raise ImageProblem("image-failed", f"{reference} was built, and yet the engine does not have it")
        return facts


def _lay_out(blobs: BlobStore, source: str, context: Path) -> None:
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True, mode=0o700)
    materialize(blobs, source, context, uid=None, gid=None)


def _in_context(request: BuildRequest, context: Path) -> BuildRequest:
    return msgspec.structs.replace(request, context=str(context))
