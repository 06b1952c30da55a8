"""Handing launches to Slurm: a few at a time, in their order, again after it was away, and never twice."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from dais.engines.contract import LaunchRefused, LaunchSpec
from dais.engines.slurm.asking import Slurm
from dais.engines.slurm.attempts import Known
from dais.engines.slurm.commands import AT_ONCE, Failed, Unreachable
from dais.engines.slurm.mapped import Unix, unix_of
from dais.engines.slurm.options import SlurmOptions
from dais.engines.slurm.reaching import Reach
from dais.engines.slurm.requests import script, words
from dais.engines.slurm.store import Store

_log = logging.getLogger(__name__)

_first_pause, _longest_pause = 1.0, 30.0
_refusals_that_pass = ("submit limit", "job limit", "maximum job", "max job")
_most_refusals = 20
"""How often a refusal that may pass (somebody's limit is reached) is asked again about, before it counts."""


class Submitter:
    """Keeps what waits to be handed over. `on_refused` is told what Slurm will never take, and why."""

    def __init__(
        self,
        slurm: Slurm,
        options: SlurmOptions,
        store: Store,
        reach: Reach,
        *,
        on_refused: Callable[[Known, str], None],
        on_unknown: Callable[[Known], None],
    ) -> None:
        self._slurm = slurm
        self._options = options
        self._store = store
        self._reach = reach
        self._on_refused = on_refused
        self._on_unknown = on_unknown
        self._waiting: dict[str, Known] = {}
        self._refusals: dict[str, int] = {}
        self._arrived = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._in_flight: set[str] = set()
        self._closing = False
        self.python = ""
        self.longest: int | None = None
        self.program = store.directory

    def open(self) -> None:
        self._workers = [asyncio.create_task(self._work(), name=f"slurm submit {n}") for n in range(AT_ONCE - 2)]

    async def close(self) -> None:
        """What is on its way arrives; what waits is found again by the next server."""
        self._closing = True
        self._arrived.set()
        for worker in self._workers:
            if not self._in_flight:
                worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def add(self, launches: Sequence[Known]) -> None:
        self._waiting |= {known.attempt_id: known for known in launches}
        self._arrived.set()

    def take_back(self, attempt_id: str) -> bool:
        """Whether it has not been handed over; it will not be, then."""
        return self._waiting.pop(attempt_id, None) is not None

    async def _work(self) -> None:
        pause = _first_pause
        while not self._closing:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            known = self._waiting.pop(next(iter(self._waiting)))
            self._in_flight.add(known.attempt_id)
            try:
                await self._submit(known)
                pause = _first_pause
                continue
            except Unreachable as error:
                # Perhaps it was taken: the next look at the queue tells, before it is handed over again.
                known.unsure, known.handed_at = True, time.monotonic()
                known.set(detail=str(error))
                self._on_unknown(known)
            except (Failed, OSError) as error:
                if not self._may_pass(known, error):
                    self._on_refused(known, f"Slurm refuses the job: {error}")
                    continue
                known.set(detail=f"Slurm does not take it yet: {error}")
                self._waiting[known.attempt_id] = known
            except LaunchRefused as error:
                self._on_refused(known, str(error))
                continue
            except Exception as error:  # whatever is wrong with one launch, the others are handed over
                _log.exception("attempt %s cannot be handed to Slurm", known.attempt_id)
                self._on_refused(known, f"it cannot be handed to Slurm: {error!r}")
                continue
            finally:
                self._in_flight.discard(known.attempt_id)
            if not self._closing:
                await asyncio.sleep(pause)
            pause = min(_longest_pause, 2 * pause)

    async def _submit(self, known: Known) -> None:
        spec, store = known.spec, self._store
        if spec is None or known.over:
            return  # it has begun, or ended, meanwhile
        unix = await asyncio.to_thread(unix_of, spec, self._options, store.owner)
        known.unix = unix.name if unix else ""
        key = await asyncio.to_thread(self._prepare, spec, unix)
        place, shared = store.place(spec.attempt_id), store.shared(spec.attempt_id)
        text = script(self.python, self.program, place, shared, key, look=not self._slurm.signals)
        job = await self._slurm.submit(words(spec, self._options, place, self.longest), text, known.unix)
        known.handed_at, known.job = time.monotonic(), job
        self._refusals.pop(known.attempt_id, None)
        await asyncio.to_thread(store.submitted, spec.attempt_id, known.job)

    def _prepare(self, spec: LaunchSpec, unix: Unix | None) -> bytes:
        self._store.attend(spec, unix)  # first: where it is to be reached depends on whose it is
        return self._store.prepare(spec, self._reach.invite(spec.attempt_id))

    def _may_pass(self, known: Known, error: Exception) -> bool:
        """Whether what Slurm refuses now it may take later."""
        if isinstance(error, OSError) or not any(words in str(error).lower() for words in _refusals_that_pass):
            return False
        self._refusals[known.attempt_id] = count = self._refusals.get(known.attempt_id, 0) + 1
        return count < _most_refusals
