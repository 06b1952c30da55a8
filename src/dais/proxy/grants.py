"""Who may reach what: asked of the database, kept for a moment, and asked again while something is open."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dais.compute import Compute, Place, Reached, Work, reach
from dais.identity import CHANGED, Actor, IdentitySettings, Session, present, session_of_id, touch_session
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import Conflict, DaisError, Forbidden, Invalid, NotFound, Unauthenticated
from dais.kit.vault import Vault
from dais.proxy.callers import Callers
from dais.proxy.cookies import APP_COOKIE, cookie_name
from dais.proxy.entering import read_seal

if TYPE_CHECKING:
    from dais.proxy.http.exchange import Exchange
    from dais.proxy.http.onward import Onward

FRESH_SECONDS = 2.0
"""For how long a grant is good without asking again, unless identities change."""
MOST_KEPT = 10_000
PAGE = "page-of-dais"
"""The code of what is said of an app that is a page of Dais; the field `path` says which."""

Key = tuple[Place, bytes | None, tuple[tuple[bytes, bytes], ...]]
"""What a grant depends on: the place, the token, the cookies."""


@dataclass(eq=False)
class Grant:
    """Somebody may reach a port of a run. `by` is `public`, `bearer` or `cookie`."""

    key: Key
    work: Work
    port: int
    by: str
    again: Callable[[], object]
    checked: float = 0.0
    generation: int = 0
    clients: set[Exchange] = field(default_factory=set)
    """Who uses it now."""


class Grants:
    """Finds and keeps grants. On the event loop alone."""

    def __init__(
        self, db: Database, compute: Compute, vault: Vault, callers: Callers, identity: IdentitySettings
    ) -> None:
        self._db = db
        self._compute = compute
        self._vault = vault
        self._callers = callers
        self._identity = identity
        self._kept: dict[Key, Grant] = {}
        self._asking: dict[Key, asyncio.Task[Grant]] = {}
        self._generation = 0
        self._doubted: set[Key] = set()
        """Whose app may have ended: it is looked at before it is used again."""
        self.public = True
        db.hints.listen(CHANGED, self._changed)

    def _changed(self) -> None:
        self._generation += 1

    def fresh(self, key: Key, now: float) -> Grant | None:
        """A grant that need not be asked for again."""
        grant = self._kept.get(key)
        if grant is None or grant.generation != self._generation or now - grant.checked > FRESH_SECONDS:
            return None
        return grant

    def forget(self, grant: Grant) -> None:
        """What it said is not so any more."""
        if self._kept.get(grant.key) is grant:
            del self._kept[grant.key]
            if len(self._doubted) < MOST_KEPT:
                self._doubted.add(grant.key)

    async def find(self, place: Place, onward: Onward) -> Grant:
        """Ask. Raises Unauthenticated, Forbidden, NotFound, Conflict `not-running`, and what an app raises."""
        key = (place, onward.bearer, onward.seals)
        task = self._asking.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(key, onward.secured), name="who may reach an app")
            self._asking[key] = task
            task.add_done_callback(functools.partial(self._asked, key))
        return await asyncio.shield(task)

    def _asked(self, key: Key, task: asyncio.Task[Grant]) -> None:
        self._asking.pop(key, None)
        if not task.cancelled():
            task.exception()  # who asked may be gone; then nobody else hears it

    async def _ask(self, key: Key, secured: bool) -> Grant:
        generation = self._generation
        reached, by = await self._reached(key, secured)
        port = await self._port(reached, key)
        grant = self._kept.get(key)
        if grant is None or (grant.work.run_id, grant.port, grant.by) != (reached.work.run_id, port, by):
            if len(self._kept) >= MOST_KEPT:
                self._kept = {old: one for old, one in self._kept.items() if one.clients}
            again = lambda: self._ask(key, secured)  # noqa: E731
            grant = self._kept[key] = Grant(key, reached.work, port, by, again)
        grant.work, grant.generation = reached.work, generation
        grant.checked = asyncio.get_running_loop().time()
        return grant

    async def _reached(self, key: Key, secured: bool) -> tuple[Reached, str]:
        place, bearer, seals = key
        actors: list[Callable[[UnitOfWork, str], Actor]] = []
        stale: list[Session] = []
        by = "public"
        if bearer is not None:
            actor = await self._callers.bearer(bearer)
            actors.append(lambda uow, _: present(uow, actor))
            by = "bearer"
        elif seals:
            now = self._db.clock.now()
            by = "cookie"

            def of_session(value: bytes) -> Callable[[UnitOfWork, str], Actor]:
                seal = read_seal(self._vault, value.decode("latin-1"), now)

                def actor_of(uow: UnitOfWork, job_id: str) -> Actor:
                    if seal is None or seal.job_id != job_id:
                        raise Unauthenticated("the cookie is not this job's", code="no-session")
                    session = session_of_id(uow, seal.session_id, self._identity)
                    if session.stale:
                        stale.append(session)
                    return session.actor

                return actor_of

            start = cookie_name(APP_COOKIE, secured).encode()
            actors += [of_session(value) for name, value in seals if name.startswith(start)]
        reached: Reached = await self._db.read(reach, place, actors, self.action_of, public=self.public)
        if stale:
            with contextlib.suppress(DaisError):
                await self._db.write(touch_session, stale[0].id)
        return reached, "public" if reached.public and by == "cookie" else by

    def action_of(self, target: str, work: Work | None) -> str:
        """What reaching a target needs: plain ports `job:get`, most apps `job:exec`. One that is not known, nothing."""
        if work is None:
            return "job:get" if target.isdigit() else "job:exec"
        try:
            return self._compute.apps.find(work, target).action
        except (NotFound, Invalid):
            return "job:get"  # why there is none is told to those who may see the job

    async def _port(self, reached: Reached, key: Key) -> int:
        """The port of what was reached; an app that does not run yet is started."""
        if reached.target.isdigit():
            return int(reached.target)
        doubted = key in self._doubted
        self._doubted.discard(key)
        opened = await self._compute.apps.open(reached.work, reached.target, check=doubted)
        if opened.port is None:
            raise Conflict(
                f"{opened.name} is a page of Dais; open it there, or use the API", code=PAGE, path=opened.path
            )
        return opened.port

    async def watch(self) -> None:
        """Ask again for what is in use when identities change, and slowly besides; cut those who may not go on."""
        with self._db.hints.subscribe(CHANGED) as hint:
            while True:
                await hint.wait(FRESH_SECONDS * 2)
                for grant in [one for one in self._kept.values() if one.clients]:
                    await self._renew(grant)

    async def _renew(self, grant: Grant) -> None:
        try:
            new = await grant.again()  # type: ignore[misc]
        except (Unauthenticated, Forbidden, NotFound, Conflict):
            self.forget(grant)
            new = None
        except DaisError:
            return  # the database is away: what cannot be asked is asked again
        if new is not grant:
            for client in list(grant.clients):
                client.cut()
