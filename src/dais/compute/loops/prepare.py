"""Preparing runs: stage the source, get the environment, then say that the run may be launched.

Preparations run beside the ticks, a few at a time. Each can be begun again after a crash, and each ends by the guarded
verb `mark_prepared` or `fail_preparation`: a run that was cancelled meanwhile is not touched.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec

from dais.compute.environments.requirements import Requirements, find_requirements
from dais.compute.images.changes import store_no_python, store_pin
from dais.compute.jobs.progress import DOWNLOADING
from dais.compute.jobs.runs import fail_preparation, mark_prepared
from dais.compute.jobs.types import Work
from dais.compute.loops.builder import Builder, BuildFailed
from dais.compute.loops.group import Group
from dais.compute.loops.inputs import Bringing, read_inputs
from dais.compute.loops.moving import Moved, Stopped, told
from dais.compute.loops.staging import clean_up, stage
from dais.data import source_file
from dais.engines.contract import ImageProblem
from dais.kit.errors import DaisError

log = logging.getLogger(__name__)


class Preparer:
    """Prepares runs, at most `settings.parallel_preparations` at a time; one run is prepared once at a time."""

    def __init__(self, group: Group, builder: Builder) -> None:
        self._group = group
        self._builder = builder
        self._slots = asyncio.Semaphore(group.settings.parallel_preparations)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, work: Work) -> None:
        """Begin, unless it is under way."""
        if work.run_id not in self._tasks:
            task = asyncio.create_task(self._prepare(work), name=f"prepare {work.run_id}")
            self._tasks[work.run_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(work.run_id, None))

    async def close(self) -> None:
        """Give up what is under way; it is begun again after the restart."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _prepare(self, work: Work) -> None:
        group = self._group
        try:
            async with asyncio.timeout(group.settings.preparation_limit):
                if work.image_id is not None:
                    work = await self._with_image(work)
                requirements = await asyncio.to_thread(_requirements, group, work)
                environment = None
                if requirements is not None:
                    environment = await self._environment(work, requirements)
                async with self._slots:
                    await self._stage(work, environment)
        except Stopped:
            await asyncio.to_thread(clean_up, group, [work.run_id])
            return
        except BuildFailed as error:
            await self._fail(work, "environment-failed", str(error))
        except ImageProblem as error:
            await self._fail(work, error.code, str(error))
        except TimeoutError:
            await self._fail(
                work, "preparation-timeout", f"preparing took longer than {group.settings.preparation_limit:g} s"
            )
        except DaisError as error:
            await self._fail(work, error.code, error.message)
        except OSError as error:
            await self._fail(work, "staging-failed", f"its files could not be staged: {error}")
        except Exception as error:
            log.exception("preparing run %s failed", work.run_id)
            await self._fail(work, "preparation-failed", f"a defect in Dais: {type(error).__name__}: {error}")
        else:
            if not await group.db.write(mark_prepared, work.run_id):
                await asyncio.to_thread(clean_up, group, [work.run_id])

    async def _stage(self, work: Work, environment: Path | None) -> None:
        """Raises DaisError, OSError; Stopped when the run has ended while its data came."""
        group, pins = self._group, work.pins
        if not pins.staged:
            await asyncio.to_thread(stage, group, work, environment)
            return
        files = await group.db.read(read_inputs, pins)
        async with told(group.db, work.run_id, DOWNLOADING, Moved(pins.size)) as moved:
            await asyncio.to_thread(stage, group, work, environment, Bringing(files, moved.add))
            moved.done = moved.total

    async def _environment(self, work: Work, requirements: Requirements) -> Path | None:
        """None where nobody asked for what was found in the source, and the image has no Python. Raises BuildFailed."""
        try:
            return await self._builder.ensure(work, requirements)
        except BuildFailed as error:
            if not error.no_python or work.image_id is None:
                raise
            await self._group.db.write(store_no_python, work.image_id)
            if work.spec.requirements:
                raise
            return None

    async def _with_image(self, work: Work) -> Work:
        """The run with its image's content, which is there now. Raises ImageProblem, Invalid, OSError."""
        group = self._group
        assert work.image_id is not None
        assert work.pin is not None
        if group.images is None:
            raise ImageProblem("image-failed", f"the engine of group {group.name} keeps no images")
        pin = await group.images.ensure(work.image_id, work.pin, work.spec.resources)
        await group.db.write(store_pin, work.job_id, pin)
        return msgspec.structs.replace(work, pin=pin, image=pin.id or work.image, python=pin.python)

    async def _fail(self, work: Work, reason: str, detail: str) -> None:
        await self._group.db.write(fail_preparation, work.run_id, reason[:32], detail)
        await asyncio.to_thread(clean_up, self._group, [work.run_id])


def _requirements(group: Group, work: Work) -> Requirements | None:
    source = work.spec.source
    if source is None:
        return None
    if work.pin is not None and work.pin.python == "":  # as below
        return None
    if work.root is not None and work.python is None:  # the submit has refused requirements, and warned of found ones
        return None
    return find_requirements(lambda path: source_file(group.blobs, source, path), work.spec.requirements)
