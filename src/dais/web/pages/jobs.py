"""The list of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.compute import JobFilter, list_jobs
from dais.identity import Actor
from dais.kit.clock import SECOND
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid
from dais.web.choices import (
    COLUMNS,
    COLUMNS_COOKIE,
    FILTERS_COOKIE,
    MAX_NAME,
    SavedFilter,
    columns_cookie,
    columns_of,
    filters_cookie,
    filters_of,
    given_columns,
)
from dais.web.frame import Frame, remember, see_other
from dais.web.guard import check_form_token, local, read_form, visitor
from dais.web.view import MARKS, place
from dais.wire import answers

PAGE = 50
"""Jobs on one page."""

STATES = ("PENDING", "SCHEDULED", "PREPARING", "RUNNING", "FINISHING", "SUCCEEDED", "FAILED", "CANCELLED")


SPANS = {"1h": 3_600, "1d": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400}
TIMES = (
    ("1h", "in the last hour"),
    ("1d", "in the last day"),
    ("7d", "in the last week"),
    ("30d", "in the last month"),
)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs the address asks for; "" is no condition. `text` is a part of the name, `name` all of it.

    `who` is `mine`, `since` one of SPANS, `order` is `oldest`.
    """

    state: str = ""
    text: str = ""
    name: str = ""
    who: str = ""
    owner: str = ""
    type: str = ""
    group: str = ""
    tag: str = ""
    since: str = ""
    order: str = ""
    cursor: str = ""
    account: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str], account: str = "") -> Wanted:
        """Read from a query; what is not there is no condition. `account` is the address's, "" for all."""
        given = {name: value for name in cls.__struct_fields__ if (value := query.get(name, "").strip())}
        return cls(**{**given, "account": account})

    def address(self, **changes: str) -> str:
        """The page's address, with some of it changed."""
        other = msgspec.structs.replace(self, **changes)
        path = f"{place(self.account)}/jobs" if self.account else "/jobs"
        query = urlencode({name: value for name, value in other._given().items() if value})
        return f"{path}?{query}" if query else path

    def _given(self) -> dict[str, str]:
        return {name: value for name, value in msgspec.structs.asdict(self).items() if name != "account"}

    @property
    def query(self) -> str:
        """The filter alone, as it stands in an address."""
        return urlencode({name: value for name, value in self._given().items() if value and name != "cursor"})

    @property
    def filtered(self) -> bool:
        return any(value for name, value in self._given().items() if name not in ("cursor", "order"))

    @property
    def more(self) -> int:
        """How many conditions there are that are not in sight."""
        return sum(bool(value) for value in (self.owner, self.type, self.group, self.tag))


def read_jobs(uow: UnitOfWork, actor: Actor, wanted: Wanted) -> answers.Page[answers.Job]:
    """One page of what is wanted. Raises Invalid for a state, time or cursor that there is not."""
    if wanted.since and wanted.since not in SPANS:
        raise Invalid(f"since {wanted.since[:40]!r} is not known; there are {', '.join(SPANS)}", code="bad-parameter")
    chosen = JobFilter(
        account=wanted.account or None,
        owner_id=actor.id if wanted.who == "mine" else None,
        owner=wanted.owner or None,
        states=(wanted.state,) if wanted.state else (),
        name=wanted.name or None,
        text=wanted.text or None,
        type=wanted.type or None,
        group=wanted.group or None,
        tag=wanted.tag or None,
        since=uow.now - SPANS[wanted.since] * SECOND if wanted.since else None,
        oldest_first=wanted.order == "oldest",
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
        times=TIMES,
        columns=columns_of(request.cookies),
        all_columns=COLUMNS,
        saved_filters=filters_of(request.cookies),
    )


async def set_columns(request: Request, frame: Frame) -> Response:
    """Remember which columns this browser shows."""
    form = await _form(request, frame)
    return remember(request, _back(form), COLUMNS_COOKIE, columns_cookie(given_columns(form)))


async def save_filter(request: Request, frame: Frame) -> Response:
    """Give a filter a name, or forget the one of that name."""
    form = await _form(request, frame)
    name = " ".join(form.get("name", "").split())[:MAX_NAME]
    if not name:
        raise Invalid("a filter needs a name, so that you find it again", code="bad-parameter")
    query = urlencode([pair for pair in parse_qsl(form.get("query", "")) if pair[0] in Wanted.__struct_fields__])
    kept = filters_cookie(filters_of(request.cookies), SavedFilter(name, query))
    return remember(request, _back(form), FILTERS_COOKIE, kept)


async def _form(request: Request, frame: Frame) -> dict[str, str]:
    form = await read_form(request)
    check_form_token(await visitor(request, frame.services), form)
    return form


def _back(form: dict[str, str]) -> Response:
    return see_other(local(form.get("back", "/jobs")))
