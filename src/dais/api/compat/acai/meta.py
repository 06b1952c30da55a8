"""The service `meta`: tags and key-values of files, file sets and jobs, and queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dais.api.compat.acai.calls import Call, Calls, entity, plain_ref, short
from dais.api.kinds import kind_named
from dais.kit.clock import from_rfc3339
from dais.kit.errors import Invalid
from dais.provenance import Described, delete_meta, find, get_meta, update_meta
from dais.wire.meta import Condition, Moment

calls = Calls()

MOST = 10_000
"""Entities that a query answers."""

HASH = "__hash__"
"""What ACAI's client asks for before it makes a set; here it is the content's digest."""


@calls.add("POST", "/meta/get_meta")
async def get(call: Call) -> Any:
    """All that is known of some entities, in order."""
    kind = _kind(call.text("type"))
    found = []
    for ref in call.texts("ids"):
        plain = _ref(kind, ref)
        with entity(plain):
            found += await call.read(get_meta, kind_named(kind), [plain], account=call.account.id)
    return {"data": [_described(one) for one in found], "status": "success"}


def _changes(path: str, kind: str) -> None:
    @calls.add("POST", f"/meta/update_{path}_meta")
    async def update(call: Call) -> Any:
        meta = call.values.get("meta") or {}
        if not isinstance(meta, Mapping):
            raise Invalid("meta is no object", code="bad-parameter")
        values = {key: _value(value) for key, value in meta.items() if key != "tags" and not key.startswith("__")}
        tags = meta.get("tags") or []
        if not isinstance(tags, list):
            raise Invalid("tags is no list", code="bad-parameter")
        ref = _ref(kind, call.text("id"))
        with entity(ref):
            await call.write(
                update_meta,
                kind_named(kind),
                ref,
                tags=[str(tag) for tag in tags],
                values=values,
                account=call.account.id,
            )
        return {"status": "success"}

    @calls.add("POST", f"/meta/del_{path}_meta")
    async def delete(call: Call) -> Any:
        ref = _ref(kind, call.text("id"))
        with entity(ref):
            await call.write(
                delete_meta,
                kind_named(kind),
                ref,
                tags=call.texts("tags"),
                keys=call.texts("keys"),
                account=call.account.id,
            )
        return {"status": "success"}


for _path, _name in (("file", "file"), ("file_set", "fileset"), ("job", "job")):
    _changes(_path, _name)


@calls.add("POST", "/meta/query_meta")
async def query(call: Call) -> Any:
    """What meets all conditions."""
    kind = kind_named(_kind(call.text("entity_type")))
    where = tuple(_condition(one) for one in call.items("conditions"))
    found: list[Described] = []
    cursor: str | None = None
    while len(found) < MOST:
        page = await call.read(find, kind, where, account=call.account.id, limit=1000, cursor=cursor)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
    return {"data": [_described(one) for one in found], "status": "success"}


def _condition(given: Any) -> Condition:
    """One condition. A value condition without a value is what the client makes of 0, "" and False: any of them."""
    if not isinstance(given, Mapping) or not isinstance(given.get("key"), str):
        raise Invalid("a condition is an object with a key", code="bad-condition")
    key, kind = given["key"], given.get("type")
    if kind in ("max", "min"):
        return Condition(key=key, op=kind)
    if kind == "range":
        ends = given.get("value")
        if not isinstance(ends, list) or len(ends) != 2:
            raise Invalid(f"the range of {key} needs a start and an end", code="bad-condition")
        return Condition(key=key, op="range", start=_value(ends[0]), end=_value(ends[1]))
    if kind != "value":
        raise Invalid(f"a condition is of type value, max, min or range, not {kind!r}", code="bad-condition")
    if "value" not in given:
        empty = tuple(Condition(key=key, op="=", value=value) for value in (0, "", False))
        return Condition(any=empty)
    value = _value(given["value"])
    if key == "tags" and isinstance(value, str):
        return Condition(op="tag", value=value)
    if given.get("re") and isinstance(value, str):
        return Condition(key=key, op="~", value=value)
    return Condition(key=key, op="=", value=value)


def _value(value: Any) -> Any:
    if isinstance(value, str | bool | int | float):
        return value
    raise Invalid("a value is a text, a number, true or false", code="bad-value")


def _kind(name: str) -> str:
    kind = name.lower().replace("_", "")
    if kind not in ("file", "fileset", "job"):
        raise Invalid(f"there is no type {name[:40]!r}; there are file, fileset, job", code="unknown-kind")
    return kind


def _ref(kind: str, ref: str) -> str:
    return ref if kind == "job" else plain_ref(ref.removeprefix("@"))


def _described(one: Described) -> Any:
    system = {key: _shown(value) for key, value in one.system.items()}
    values = {key: _shown(value) for key, value in one.values.items()}
    known = {"__type__": one.kind, **system, **values, "tags": list(one.tags)}
    known["_id"] = short(str(known.get("_id", one.ref)))
    known[HASH] = str(system.get("__digest__", one.id))
    return known


def _shown(value: Any) -> Any:
    """Instants are seconds since the epoch."""
    return from_rfc3339(value.instant) / 1_000_000 if isinstance(value, Moment) else value
