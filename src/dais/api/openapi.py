"""The OpenAPI 3.1 document, written from the routes: their signatures are the source, so it cannot be stale."""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin

import msgspec

import dais
from dais.api.binding import Parameter
from dais.api.context import Context
from dais.api.errors import STATUS
from dais.api.routing import Reply, Route, Routes
from dais.wire.answers import Problem

REF = "#/components/schemas/{name}"


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole document."""
    listed = [route for route in routes if route.kind != "websocket"]
    kinds = {id(kind): kind for route in listed for kind in _kinds(route)}
    schemas, components = msgspec.json.schema_components(
        [*kinds.values(), Problem], schema_hook=_unknown_type, ref_template=REF
    )
    by_type = dict(zip(kinds, schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    names = Counter(route.name for route in listed)
    for route in listed:
        # A name that several have, such as `remove`, says of what.
        name = route.name if names[route.name] == 1 else f"{_tag(route)}_{route.name}"
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, name, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dais",
            "version": dais.__version__,
            "description": "The native API. Failures are RFC 9457 problem documents.",
        },
        "security": [{"bearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "responses": {"Problem": _problem_response()},
        },
    }


def openapi_routes(routes: Sequence[Route]) -> list[Route]:
    """The route that shows the document of `routes` and of itself."""
    own = Routes()
    text: list[msgspec.Raw] = []

    @own.get("/v1/openapi.json", summary="Describe this API (OpenAPI 3.1)", public="it tells of the program alone")
    async def openapi(ctx: Context) -> Any:
        if not text:
            text.append(msgspec.Raw(msgspec.json.encode(document([*routes, *own.all]))))
        return text[0]

    return own.all


def _kinds(route: Route) -> list[Any]:
    """Every type that a schema is needed for."""
    found = [parameter.type for parameter in route.binder.parameters]
    if route.binder.body is not None:
        found.append(route.binder.body)
    return [*found, *_answers(route)]


def _answers(route: Route) -> list[Any]:
    """What a route may answer as JSON, without the envelope Reply and without None."""
    kind = route.answer
    if kind is None:
        return []
    kind = get_args(kind)[0] if get_origin(kind) is Reply else kind
    kinds = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    return [kind for kind in kinds if kind is not type(None)]


def _tag(route: Route) -> str:
    return route.path.removeprefix("/v1").split("/")[1]


def _operation(route: Route, name: str, schemas: dict[int, dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": route.summary,
        "tags": [_tag(route)],
        "responses": {**_success(route, schemas), "default": {"$ref": "#/components/responses/Problem"}},
    }
    if route.description:
        operation["description"] = route.description
    if route.public:
        operation["security"] = []
    if route.asks.actions:
        operation["x-dais-action"] = list(route.asks.actions)
    parameters = [_parameter(parameter, schemas) for parameter in route.binder.parameters]
    known = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
    for part in route.path.split("/"):
        if part.startswith("{") and part[1:-1] not in known:
            parameters.append({"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}})
    if parameters:
        operation["parameters"] = parameters
    if route.binder.body is not None:
        schema = schemas[id(route.binder.body)]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    elif route.kind == "raw" and route.method in ("PUT", "POST"):
        operation["requestBody"] = {"content": {"application/octet-stream": {}}}
    return operation


def _success(route: Route, schemas: dict[int, dict[str, Any]]) -> dict[str, Any]:
    if route.kind == "events":
        return {"200": {"description": "Events, until the client goes", "content": {"text/event-stream": {}}}}
    found = [schemas[id(kind)] for kind in _answers(route)]
    if found:
        schema = found[0] if len(found) == 1 else {"anyOf": found}
        done = {"description": "Done", "content": {"application/json": {"schema": schema}}}
        enveloped = get_origin(route.answer) is Reply  # which may have another status than the route's
        return {str(status): done for status in ({200, route.status} if enveloped else {route.status})}
    if route.path == "/metrics":
        return {"200": {"description": "Done", "content": {"text/plain": {}}}}
    if route.kind == "raw":
        return {str(route.status): {"description": "Done", "content": {"application/octet-stream": {}}}}
    return {"204": {"description": "Done"}}


def _parameter(parameter: Parameter, schemas: dict[int, dict[str, Any]]) -> dict[str, Any]:
    schema = dict(schemas[id(parameter.type)])
    if parameter.default is not None:
        schema["default"] = parameter.default
    return {"name": parameter.wire, "in": parameter.place, "required": parameter.required, "schema": schema}


def _problem_response() -> dict[str, Any]:
    families = ", ".join(f"{status} {family.family}" for family, (status, _) in STATUS.items())
    return {
        "description": f"A failure: {families}; 413 and 405 by HTTP itself",
        "content": {"application/problem+json": {"schema": {"$ref": REF.format(name="Problem")}}},
    }


def _unknown_type(kind: type) -> dict[str, Any]:
    return {}
