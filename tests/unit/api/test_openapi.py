"""The document that describes the API: whole, and of one piece."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from dais.api import all_routes
from dais.api.openapi import document


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document(all_routes())))
    return found


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_route_is_described(described: dict[str, Any]) -> None:
    listed = {(method, path) for path, item in described["paths"].items() for method in item}
    routes = {(route.method.lower(), route.path) for route in all_routes() if route.kind != "websocket"}
    assert listed == routes
    assert ("get", "/v1/openapi.json") in listed


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    found = set(references(described))
    assert found
    for reference in found:
        node = described
        for part in reference.removeprefix("#/").split("/"):
            assert part in node, reference
            node = node[part]


def test_every_operation_is_complete(described: dict[str, Any]) -> None:
    names = []
    for path, item in described["paths"].items():
        for method, operation in item.items():
            names.append(operation["operationId"])
            assert operation["summary"], (method, path)
            assert "default" in operation["responses"], (method, path)
            in_path = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", path)), (method, path)
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)


def test_only_what_tells_of_the_program_or_signs_in_needs_no_token() -> None:
    asks_itself = {"/metrics"}
    free = {"/v1/health", "/v1/ready", "/v1/version", "/v1/openapi.json"}
    signs_in = {"/v1/login/device", "/v1/login/token"}
    assert {route.path for route in all_routes() if route.public} == free | asks_itself | signs_in
