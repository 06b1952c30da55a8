"""Every address says what it asks for, or there is no program."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dais.api import Asks, Routes, all_routes, asks
from dais.api.openapi import document
from dais.web import ALL


def test_one_of_three_is_said() -> None:
    assert asks("x", action="job:new") == Asks(("job:new",))
    assert asks("x", action=("job:get", "job:logs")).actions == ("job:get", "job:logs")
    assert asks("x", own="who they are").own
    assert asks("x", public="it is a picture", action="installation:get").public


@pytest.mark.parametrize(
    "said",
    [{}, {"action": ()}, {"action": "job:get", "own": "x"}, {"own": "x", "public": "y"}, {"public": True}, {"own": ""}],
)
def test_anything_else_is_no_declaration(said: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="GET /x"):
        asks("GET /x", **said)


def test_an_action_that_there_is_not_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="job:fly"):
        asks("GET /x", action="job:fly")


@pytest.mark.parametrize("kind", ["get", "post", "put", "patch", "delete", "websocket", "events"])
def test_a_route_without_a_declaration_cannot_be_registered(kind: str) -> None:
    with pytest.raises(TypeError, match="/v1/x does not say who may use it"):
        getattr(Routes(), kind)("/v1/x", summary="X")


def test_every_address_has_a_declaration() -> None:
    for declared in [*(route.asks for route in all_routes()), *(page.asks for page in ALL)]:
        assert declared.actions or declared.own or declared.public


def test_the_document_shows_the_action() -> None:
    described = msgspec.to_builtins(document(all_routes()))
    assert described["paths"]["/v1/jobs/{ref}"]["get"]["x-dais-action"] == ["job:get"]
    assert "x-dais-action" not in described["paths"]["/v1/me"]["get"]
