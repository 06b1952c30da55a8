"""What the Slurm engine makes of two sources that tell at different times."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from dais.engines.contract import LaunchSpec, Phase
from dais.engines.mailbox import Mailbox
from dais.engines.slurm.asking import ask
from dais.engines.slurm.attempts import Attempts
from dais.engines.slurm.options import SlurmOptions
from dais.engines.slurm.queue import Job
from dais.engines.slurm.reaching import Reach
from dais.engines.slurm.store import Store
from dais.engines.slurm.watching import Watch

pytestmark = pytest.mark.anyio


class SlowStore(Store):
    """Writes down that Slurm has a job only when it is let go."""

    asked, let_go = threading.Event(), threading.Event()

    def submitted(self, attempt_id: str, job: str) -> None:
        self.asked.set()
        assert self.let_go.wait(20)


async def test_what_has_ended_since_slurm_was_asked_does_not_wait_again(tmp_path: Path) -> None:
    options, attempts = SlurmOptions(), Attempts()
    slurm, store = ask(options), SlowStore(tmp_path, None)
    watch = Watch(options, slurm, store, Reach(None, slurm, store), attempts, Mailbox())
    one, other = (attempts.add(LaunchSpec(attempt_id=name, argv=("true",), env={})) for name in ("one", "other"))
    other.job = "2"
    queue = [Job("1", "one", "PENDING"), Job("2", "other", "PENDING")]
    comparing = asyncio.create_task(watch._compare(queue, time.monotonic()))
    await asyncio.to_thread(store.asked.wait, 20)
    watch._tell("other", [{"kind": "ended", "at": 1, "reason": "exit-code", "exit_code": 0}])
    store.let_go.set()
    await comparing
    assert (one.status.phase, other.status.phase) == (Phase.QUEUED, Phase.ENDED)
