"""The audit log: who did what, or tried, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from dais.identity import ACTIONS, AuditEntry, list_audit
from dais.kit.clock import SECOND, from_rfc3339
from dais.kit.errors import Invalid
from dais.kit.paging import Page
from dais.web.frame import Frame
from dais.web.guard import visitor

PAGE = 100
"""Entries on one page."""
FILTERS = ("user", "action", "urn", "allowed", "since", "until")
_ANSWERS = {"yes": True, "no": False}
_DAY = 86_400 * SECOND


async def show_audit(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    wanted = {name: value for name in FILTERS if (value := request.query_params.get(name, "").strip())}
    cursor = request.query_params.get("cursor", "").strip()
    found: Page[AuditEntry] = await frame.services.db.read(
        list_audit, who.actor, **_filters(wanted), limit=PAGE, cursor=cursor or None
    )
    return frame.page(
        request,
        "access_audit.html",
        who,
        entries=found.items,
        wanted={name: wanted.get(name, "") for name in FILTERS},
        filtered=bool(wanted),
        actions=sorted(ACTIONS),
        first=_address(wanted) if cursor else "",
        older=_address({**wanted, "cursor": found.cursor}) if found.cursor else "",
    )


def _filters(wanted: Mapping[str, str]) -> dict[str, Any]:
    """The filters as the verb takes them; days of the form are whole days in UTC."""
    found: dict[str, Any] = {name: wanted[name] for name in ("user", "action", "urn") if name in wanted}
    if "allowed" in wanted:
        if wanted["allowed"] not in _ANSWERS:
            raise Invalid(f"{wanted['allowed'][:20]!r} is neither yes nor no", code="bad-parameter")
        found["allowed"] = _ANSWERS[wanted["allowed"]]
    if "since" in wanted:
        found["since"] = _day(wanted["since"])
    if "until" in wanted:
        found["until"] = _day(wanted["until"]) + _DAY
    return found


def _day(text: str) -> int:
    try:
        return from_rfc3339(f"{text}T00:00:00Z")
    except ValueError as error:
        raise Invalid(f"{text[:40]!r} is no day; write it as 2026-11-26", code="bad-parameter") from error


def _address(values: Mapping[str, str]) -> str:
    return f"/access/audit?{urlencode(values)}" if values else "/access/audit"
