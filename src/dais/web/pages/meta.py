"""Finding things by their metadata, and the tags and key-values on the pages of files, file sets and jobs."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from dais.api import KINDS, kind_named
from dais.identity import Account, Actor, resolve_account
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Invalid
from dais.kit.paging import Page
from dais.provenance import Described, Kind, delete_meta, find, get_meta, update_meta
from dais.web import view
from dais.web.frame import Frame, see_other
from dais.web.guard import check_form_token, local, read_form, visitor
from dais.web.pages.folders import account_of
from dais.wire.meta import MAX_KEY, Condition
from dais.wire.query import QueryError, parse_order, parse_query

READS = ("file:get", "fileset:get", "data:get", "job:get", "image:get", "user:get")
WRITES = ("file:set", "fileset:set", "data:set", "job:set", "image:set", "user:set")

PAGE = 50
"""Rows of one page."""


async def show_find(request: Request, frame: Frame) -> Response:
    """A box for a query, and what it finds; nothing is looked for before something is asked."""
    who = await visitor(request, frame.services)
    asked = request.query_params
    kind = kind_named(asked.get("kind", "fileset"))
    query, order, wrong = asked.get("q", ""), asked.get("order", ""), ""
    where: Account = await frame.services.db.read(resolve_account, who.actor, account_of(request) or None)
    found: Page[Described] | None = None
    if "q" in asked:
        try:
            found = await frame.services.db.read(
                find,
                who.actor,
                kind,
                _conditions(query, kind),
                account=where.id,
                order=parse_order(order, kind.name) if order else None,
                limit=PAGE,
                cursor=asked.get("cursor") or None,
            )
        except Invalid as error:
            wrong = error.message
    here = f"{view.place(where.full_name)}/find"
    return frame.page(
        request,
        "find.html",
        who,
        account=where.full_name,
        kinds=list(KINDS),
        kind=kind.name,
        query=query,
        order=order,
        wrong=wrong,
        found=None if found is None else [(one, address_of(one)) for one in found.items],
        base=here,
        older=f"{here}?{urlencode({**asked, 'cursor': found.cursor})}" if found is not None and found.cursor else "",
        first=f"{here}?{urlencode({'kind': kind.name, 'q': query, 'order': order})}" if asked.get("cursor") else "",
        line=_line(where, kind, query, order),
    )


async def change(request: Request, frame: Frame) -> Response:
    """Set what is written as `model=cnn #best`, or remove one key or tag; then show the thing again."""
    form = await read_form(request)
    who = await visitor(request, frame.services)
    check_form_token(who, form)
    kind, ref = kind_named(form.get("kind", "")), form.get("ref", "")

    def verb(uow: UnitOfWork) -> None:
        where = resolve_account(uow, who.actor, account_of(request) or None).id
        if form.get("key") or form.get("tag"):
            keys, tags = ([form[name]] if form.get(name) else [] for name in ("key", "tag"))
            delete_meta(uow, who.actor, kind, ref, keys=keys, tags=tags, account=where)
            return
        tags, values = _written(form.get("words", ""))
        update_meta(uow, who.actor, kind, ref, tags=tags, values=values, account=where)

    await frame.services.db.write(verb)
    return see_other(local(form.get("back", "")) or "/")


def described(uow: UnitOfWork, actor: Actor, kind: Kind, ref: str, account: str | None = None) -> Described | None:
    """What a page shows of a thing's metadata; None where it may not be seen."""
    try:
        (found,) = get_meta(uow, actor, kind, [ref], account=account)
    except DaisError:
        return None
    return found


def address_of(found: Described) -> str:
    """The page of what was found."""
    if found.kind == "image":
        group, _, name = found.ref.partition("/")
        return f"/images/{quote(found.id if '__reference__' in found.system else name)}?{urlencode({'group': group})}"
    if found.kind == "user":
        return f"/access/users/{found.id}"
    place = view.place(found.account)
    if found.kind == "file":
        return f"{place}/files?{urlencode({'path': found.system['__full_path__']})}"
    if found.kind == "fileset":
        return f"{place}/filesets/{found.ref}"
    return f"{place}/folders/{found.ref}" if found.kind == "folder" else f"/jobs/{found.id}?tab=overview"


def _conditions(query: str, kind: Kind) -> tuple[Condition, ...]:
    try:
        return parse_query([query], kind.name)
    except QueryError as error:
        raise Invalid(f"{error.why} (at character {error.at + 1})", code="bad-query", at=error.at) from error


def _written(words: str) -> tuple[list[str], dict[str, Any]]:
    """Tags and key-values of `model=cnn accuracy=0.97 #best`. Raises Invalid."""
    try:
        parts = parse_query([words], "")
    except QueryError as error:
        raise Invalid(f"{error.why} (at character {error.at + 1})", code="bad-query", at=error.at) from error
    tags: list[str] = []
    values: dict[str, Any] = {}
    for part in parts:
        if part.op == "tag":
            tags.append(str(part.value))
        elif part.op == "=" and part.key:
            values[part.key] = part.value
        else:
            raise Invalid(
                f"write key=value and #tag, as model=cnn #best, not {part.op} {part.key[:MAX_KEY]}", code="bad-value"
            )
    if not parts:
        raise Invalid("write what to set: key=value or #tag, as model=cnn #best", code="bad-value")
    return tags, values


def _line(where: Account, kind: Kind, query: str, order: str) -> str:
    words = ["dais", "find", "--account", where.full_name, kind.name, *([query] if query else [])]
    return shlex.join([*words, *(["--sort", order] if order else [])])
