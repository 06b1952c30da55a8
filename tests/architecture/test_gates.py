"""Every address that asks for an action is walked through: `tests/acceptance/test_gates.py`."""

from __future__ import annotations

from dais.api import all_routes
from dais.web import ALL
from tests.support.calls import Call
from tests.support.gates import CALLS, PAGES


def test_every_address_is_in_the_table_of_gates() -> None:
    declared = {address for address, asked in addresses() if asked}
    declared |= {f"{page.method} {page.path}" for page in ALL if page.asks.actions}
    known = {*CALLS, *PAGES}
    assert sorted(declared - known) == [], "tests/support/gates.py does not say how these are called"
    assert sorted(known - declared) == [], "tests/support/gates.py names these, which are not there"


def test_every_action_of_an_address_is_called() -> None:
    for address, asked in addresses():
        calls = CALLS.get(address, [])
        calls = [calls] if isinstance(calls, Call) else calls
        if len(calls) > 1:
            assert {call.action for call in calls} == set(asked), address


def addresses() -> list[tuple[str, tuple[str, ...]]]:
    """Every route with the actions that it asks for."""
    return [
        (f"{'WEBSOCKET' if route.kind == 'websocket' else route.method} {route.path}", route.asks.actions)
        for route in all_routes()
    ]
