"""The list of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.compute import JobFilter, list_jobs
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.web.frame import Frame
from dais.web.guard import visitor
from dais.web.view import MARKS, place
from dais.wire import answers

PAGE = 50
"""Jobs on one page."""

STATES = ("PENDING", "SCHEDULED", "PREPARING", "RUNNING", "FINISHING", "SUCCEEDED", "FAILED", "CANCELLED")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs the address asks for. `who` is `mine` or `all`."""

    state: str = "all"
    name: str = ""
    who: str = "all"
    cursor: str = ""
    account: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str], account: str = "") -> Wanted:
        """Read from a query; what is not there or empty is as always. `account` is the address's, "" for all."""
        given = {name: value for name in cls.__struct_fields__ if (value := query.get(name, "").strip())}
        return cls(**{**given, "account": account})

    def address(self, **changes: str) -> str:
        """The page's address, with some of it changed."""
        values = {**msgspec.structs.asdict(self), **changes}
        account = values.pop("account")
        kept = {name: value for name, value in values.items() if value != getattr(_anything, name)}
        path = f"{place(account)}/jobs" if account else "/jobs"
        return f"{path}?{urlencode(kept)}" if kept else path

    @property
    def filtered(self) -> bool:
        return (self.state, self.name, self.who) != ("all", "", "all")


_anything = Wanted()


def read_jobs(uow: UnitOfWork, actor: Actor, wanted: Wanted) -> answers.Page[answers.Job]:
    """One page of what is wanted. Raises Invalid for a state or cursor that there is not."""
    chosen = JobFilter(
        account=wanted.account or None,
        owner_id=actor.id if wanted.who == "mine" else None,
        states=(wanted.state,),
        name=wanted.name or None,
    )
    return list_jobs(uow, actor, chosen, limit=PAGE, cursor=wanted.cursor or None)


async def show_jobs(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    parts = request.path_params
    account = f"{parts['organization']}.{parts['account']}" if parts else ""
    wanted = Wanted.of(request.query_params, account)
    page: answers.Page[answers.Job] = await frame.services.db.read(read_jobs, who.actor, wanted)
    choices: list[tuple[str, Any]] = [(state, MARKS[state]) for state in STATES]
    return frame.page(
        request,
        "jobs.html",
        who,
        account=account or None,
        jobs=page.items,
        older=page.cursor,
        wanted=wanted,
        choices=choices,
    )
