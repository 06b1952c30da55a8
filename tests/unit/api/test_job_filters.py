"""What tells jobs apart in the console can be asked for everywhere: by REST, by the SDK, by the command."""

from __future__ import annotations

import inspect

from dais.api import all_routes
from dais.cli.jobs.show import ls
from dais.compute import JobFilter
from dais.sdk import AsyncClient, Client

NAMES = {"owner_id": "me", "states": "state", "oldest_first": "order"}
"""What a filter's field is called outside."""
WANTED = {NAMES.get(name, name) for name in JobFilter.__struct_fields__}


def test_by_rest() -> None:
    (route,) = [route for route in all_routes() if (route.method, route.path) == ("GET", "/v1/jobs")]
    assert {parameter.wire for parameter in route.binder.parameters} >= WANTED


def test_by_the_sdk() -> None:
    for client in (Client, AsyncClient):
        made = client("http://localhost:1", token="none")
        known = set(inspect.signature(made.jobs.list).parameters)
        assert known | {"order"} >= WANTED
        assert "oldest_first" in known


def test_by_the_command() -> None:
    options = {option.removeprefix("--") for parameter in ls.params for option in parameter.opts}
    chosen_for_all = {"account"}  # an option of the program, for every command
    assert options | chosen_for_all | {"order"} >= WANTED
    assert "reverse" in options
