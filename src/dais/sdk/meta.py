"""Metadata: tags and key-values on files, file sets, folders, jobs, images and users, and queries over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from dais.sdk.errors import Invalid
from dais.sdk.flow import Asynchronous, Blocking, Emit, Flow, Items, Request, Resource, listing, operation
from dais.wire.answers import Page
from dais.wire.meta import Condition, Counted, Meta, MetaChange, MetaRemoved, Moment, Query, Value
from dais.wire.query import QueryError, parse_order, parse_query

PATIENCE = 30.0
_PAGE = 1000

Wanted = Condition | str
"""A condition, or conditions as people write them: `model=cnn max(accuracy)`."""


class MetaApi(Resource):
    """Metadata of an account's entities, and of its organization's users.

    `kind` is file, fileset, folder, job, image or user; `ref` what is meant: `texts:2`, `GROUP/NAME` of an image.
    """

    @operation
    def get(self, kind: str, ref: str, *, account: str | None = None) -> Flow[Meta]:
        """All that is known of one. Raises NotFound, Forbidden."""
        (found,) = yield from self._get(kind, [ref], account)
        return found

    @operation
    def get_many(self, kind: str, refs: Sequence[str], *, account: str | None = None) -> Flow[list[Meta]]:
        """The same of several, in order. Raises NotFound for the first that is not there."""
        found: list[Meta] = []
        for start in range(0, len(refs), 50):
            found += yield from self._get(kind, refs[start : start + 50], account)
        return found

    @operation
    def set(
        self,
        kind: str,
        ref: str,
        values: Mapping[str, Value | datetime] | None = None,
        *,
        tags: Iterable[str] = (),
        account: str | None = None,
    ) -> Flow[Meta]:
        """Add tags and set key-values; others stay. Raises NotFound, Forbidden, Invalid."""
        change = MetaChange(tags=tuple(tags), values={key: _value(value) for key, value in (values or {}).items()})
        body = msgspec.json.encode(change)
        request = Request("PATCH", "/v1/meta", self._place(kind, ref, account), body, repeatable=True)
        return (yield from self.call(request, Meta))

    @operation
    def rm(
        self,
        kind: str,
        ref: str,
        *,
        keys: Iterable[str] = (),
        tags: Iterable[str] = (),
        account: str | None = None,
    ) -> Flow[MetaRemoved]:
        """Remove keys and tags; what is not there is no error. Raises NotFound, Forbidden."""
        query = {**self._place(kind, ref, account), "key": list(keys), "tag": list(tags)}
        return (yield from self.call(Request("DELETE", "/v1/meta", query), MetaRemoved))

    @listing
    def find(
        self,
        kind: str,
        *where: Wanted,
        order: str | None = None,
        limit: int | None = None,
        account: str | None = None,
    ) -> Items[Meta]:
        """What meets all conditions: `find("fileset", "model=cnn max(accuracy)")`, or `Condition`s.

        Sorted by `order`, a key (`-key` downward); without it the newest come first. Raises Invalid, Forbidden.
        """
        yield from finding(self, kind, where, order, limit, account)

    @operation
    def count(self, kind: str, *where: Wanted, account: str | None = None) -> Flow[int]:
        """How many `find` finds, up to a million."""
        body = msgspec.json.encode(_query(self, kind, where, account))
        request = Request("POST", "/v1/find/count", {}, body, repeatable=True, timeout=PATIENCE)
        return (yield from self.call(request, Counted)).count

    def _get(self, kind: str, refs: Sequence[str], account: str | None) -> Flow[list[Meta]]:
        query = {"kind": kind, "ref": list(refs), "account": account or self._client.account}
        return (yield from self.call(Request("GET", "/v1/meta", query), Page[Meta])).items

    def _place(self, kind: str, ref: str, account: str | None) -> dict[str, str | None]:
        return {"kind": kind, "ref": ref, "account": account or self._client.account}


def finding(
    resource: Resource,
    kind: str,
    where: Sequence[Wanted],
    order: str | None,
    limit: int | None,
    account: str | None,
) -> Items[Meta]:
    """Emit what meets all conditions; pages are fetched as they are wanted."""
    query = _query(resource, kind, where, account)
    query = msgspec.structs.replace(query, order=parse_order(order, kind) if order else None)
    left = limit
    while left is None or left > 0:
        one = msgspec.structs.replace(query, limit=_PAGE if left is None else min(left, _PAGE))
        request = Request("POST", "/v1/find", {}, msgspec.json.encode(one), repeatable=True, timeout=PATIENCE)
        page = yield from resource.call(request, Page[Meta])
        for item in page.items:
            yield Emit(item)
        left = None if left is None else left - len(page.items)
        if page.cursor is None:
            return
        query = msgspec.structs.replace(query, cursor=page.cursor)


def _query(resource: Resource, kind: str, where: Sequence[Wanted], account: str | None) -> Query:
    conditions: list[Condition] = []
    try:
        for one in where:
            conditions += parse_query([one], kind) if isinstance(one, str) else [one]
    except QueryError as error:
        raise Invalid(str(error), code="bad-query") from error
    return Query(kind=kind, where=tuple(conditions), account=account or resource._client.account)


def _value(value: Value | datetime) -> Value:
    if not isinstance(value, datetime):
        return value
    moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return Moment(moment.isoformat())


class Metas(MetaApi, Blocking):
    """Metadata, blocking."""


class AsyncMetas(MetaApi, Asynchronous):
    """Metadata, on asyncio."""
