"""How the addresses of metadata are called, for each kind of things that has any."""

from __future__ import annotations

from tests.support.calls import Call
from tests.support.gates_inside import ACCOUNT

NAMED = "account:get"
KINDS = (
    ("file", "file"), ("fileset", "fileset"), ("folder", "data"), ("job", "job"), ("image", "image"), ("user", "user"),
)  # fmt: skip
THINGS = {
    "file": "/d{n}/a",
    "fileset": "{fileset}",
    "folder": "{folder}",
    "job": "{job}",
    "image": "{box}",
    "user": "{user}",
}
FOUND = [
    Call(action=f"{kind}:get", body={"kind": name, "account": "{account}"}, needs=NAMED, shown=False)
    for name, kind in KINDS
]

OF_METADATA: dict[str, Call | list[Call]] = {
    "GET /v1/find": [
        Call(action=f"{kind}:get", query=f"{ACCOUNT}&kind={name}", needs=NAMED, shown=False) for name, kind in KINDS
    ],
    "POST /v1/find": FOUND,
    "POST /v1/find/count": FOUND,
    "GET /v1/meta": [
        Call(
            action=f"{kind}:get",
            query=f"{ACCOUNT}&kind={name}&ref={THINGS[name]}",
            needs=NAMED,
            inside=name == "user",
        )
        for name, kind in KINDS
    ],
    "PATCH /v1/meta": [
        Call(
            action=f"{kind}:set",
            query=f"{ACCOUNT}&kind={name}&ref={THINGS[name]}",
            body={"values": {"a": 1}},
            needs=f"{NAMED} {kind}:get",
        )
        for name, kind in KINDS
    ],
    "DELETE /v1/meta": [
        Call(
            action=f"{kind}:set",
            query=f"{ACCOUNT}&kind={name}&ref={THINGS[name]}&key=a",
            needs=f"{NAMED} {kind}:get" if name in ("image", "user") else NAMED,
            seen=name == "user",
        )
        for name, kind in KINDS
    ],
}
