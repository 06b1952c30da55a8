"""The image store of one group at work: what jobs and people want is fetched, once for all who wait for it.

What the store has is the truth, and is asked for; rows say what was seen last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from dais.compute.images.catalogue import container_image_row
from dais.compute.images.changes import store_facts, store_progress, store_state, tell_waiting
from dais.compute.images.registries import credentials_of
from dais.compute.images.resolving import check_minimum, pin_of
from dais.compute.images.types import Pin
from dais.engines.contract import ImageFacts, ImageProblem, ImageStore, Progress
from dais.kit.database import Database, Row
from dais.kit.errors import DaisError
from dais.kit.vault import Vault
from dais.wire.references import LOCAL, parse_reference
from dais.wire.spec import Resources
from dais.wire.units import short_size

log = logging.getLogger(__name__)

TELL_SECONDS = 1.0
"""How often at most progress is written down."""


class ImageKeeper:
    """Fetches images into the store of a group's engine. One fetch of a reference at a time, in this process."""

    def __init__(self, group: str, store: ImageStore, db: Database, vault: Vault) -> None:
        self.group = group
        self.store = store
        self.db = db
        self.vault = vault
        self._fetches: dict[str, asyncio.Task[ImageFacts]] = {}
        self._begun: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """Give up what is under way; the engine keeps the layers that it has."""
        tasks = [*self._begun.values(), *self._fetches.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ensure(self, image_id: str, pin: Pin, asked: Resources) -> Pin:
        """The content of a job's image, which is in the store when this returns.

        What the job was pinned to is taken: by its id, else by its digest from the registry. Raises ImageProblem,
        Invalid `below-image-minimum`, OSError.
        """
        facts = await self._pinned(image_id, pin)
        row: Row | None = await self.db.write(store_facts, image_id, facts)
        if row is None:  # forgotten since the job was submitted
            return msgspec.structs.replace(pin, id=facts.id, path=facts.environment.get("PATH"))
        if pin.id is None:  # what was not known at the submit
            check_minimum(row, asked)
        found = pin_of(row)
        return msgspec.structs.replace(found, reference=pin.reference, digest=found.digest or pin.digest)

    async def begin(self, image_id: str) -> None:
        """Begin to fetch, for whoever looks at the row later. Raises ImageProblem where there is nothing to fetch."""
        await self._reference(image_id)
        await self.db.write(store_state, image_id, "pulling")
        if image_id not in self._begun:
            task = asyncio.create_task(self._quietly(image_id), name=f"begin {image_id}")
            self._begun[image_id] = task
            task.add_done_callback(lambda _: self._begun.pop(image_id, None))

    def is_fetching(self, image_id: str) -> bool:
        """Whether `begin` was asked for it and it has not ended."""
        return image_id in self._begun

    async def _quietly(self, image_id: str) -> None:
        try:
            await self.fetch(image_id)
        except (ImageProblem, OSError, DaisError) as error:
            log.info("image %s was not fetched: %s", image_id, error)

    async def fetch(self, image_id: str) -> ImageFacts:
        """Fetch what a reference means now, also where one is there already. Raises ImageProblem, OSError."""
        return await self._once(image_id, await self._reference(image_id))

    async def _reference(self, image_id: str) -> str:
        row = await self.db.read(container_image_row, image_id)
        if row is None:
            raise ImageProblem("image-not-found", "the image was taken out of the catalogue")
        if parse_reference(row.reference).registry == LOCAL:
            raise ImageProblem(
                "image-not-found",
                f"the image {row.name} was made here and is in no registry: there is nothing to fetch",
            )
        return str(row.reference)

    async def _pinned(self, image_id: str, pin: Pin) -> ImageFacts:
        for known in (pin.id, None if pin.id else pin.reference):
            if known is not None and (facts := await self.store.image(known)) is not None:
                return facts
        reference = parse_reference(pin.reference)
        if reference.registry == LOCAL:
            await self.db.write(store_state, image_id, "missing")
            raise ImageProblem(
                "image-not-found",
                f"the image {pin.reference} was made here, and the engine of group {self.group} does not have it any "
                "more; build it again",
            )
        if pin.id is not None and pin.digest is not None:  # the tag may mean something else by now
            return await self._once(image_id, f"{reference.name}@{pin.digest}")
        return await self._once(image_id, pin.reference)

    async def _once(self, image_id: str, reference: str) -> ImageFacts:
        task = self._fetches.get(reference)
        if task is None:
            task = asyncio.create_task(self._fetch(image_id, reference), name=f"fetch {reference}")
            self._fetches[reference] = task
            task.add_done_callback(lambda _: self._fetches.pop(reference, None))
        return await asyncio.shield(task)  # who gives up leaves it to the others

    async def _fetch(self, image_id: str, reference: str) -> ImageFacts:
        try:
            credentials = await self.db.read(credentials_of, self.vault, parse_reference(reference).registry)
            await self.db.write(store_state, image_id, "pulling")
            await self.tell(image_id, self.store.pull(reference, credentials), f"fetching {reference}")
            facts = await self.store.image(reference)
            if facts is None:
                raise ImageProblem("image-failed", f"{reference} was fetched, and is gone again")
        except ImageProblem as error:
            await self.db.write(store_state, image_id, "failed", error.code, str(error))
            raise
        except (OSError, DaisError) as error:
            await self.db.write(store_state, image_id, "failed", "image-failed", str(error))
            raise
        except asyncio.CancelledError:
            await self.db.write(store_state, image_id, "missing")
            raise
        await self.db.write(store_facts, image_id, facts)
        return facts

    async def tell(self, image_id: str, steps: AsyncIterator[Progress], what: str) -> None:
        """Go through a stream of progress, writing how far it is now and then."""
        last = 0.0
        async with followed(steps):
            async for step in steps:
                if time.monotonic() - last < TELL_SECONDS:
                    continue
                last = time.monotonic()
                counted = f": {short_size(step.done)} of {short_size(step.total)}" if step.total and step.done else ""
                with contextlib.suppress(DaisError):  # a database that is away for a moment ends no pull
                    await self.db.write(store_progress, image_id, step.text, step.done, step.total)
                    await self.db.write(tell_waiting, image_id, f"{what}{counted}")


@contextlib.asynccontextmanager
async def followed(steps: AsyncIterator[Progress]) -> AsyncIterator[None]:
    """End what is told together with who listens: an answer of an engine's would be left open else."""
    try:
        yield
    finally:
        if isinstance(steps, AsyncGenerator):
            await steps.aclose()
