"""Print docs/api-actions.md: every address and what it asks for, as the program declares it. `make docs` writes it.

A test compares the page with what this prints.
"""

from __future__ import annotations

from collections.abc import Iterable

from dais.api import Asks, all_routes
from dais.web import ALL

HEAD = """# Addresses and actions

This page is made by `make docs` from what the program declares; a test fails when it is stale.

Every address asks for an action, on the URN of the thing that it is about; who may do what comes from policies. Of
several actions each is asked for by a part of what is answered. An address without an action says why: it is *public*,
or concerns only the caller's *own* session. A thing that you may not see is answered as one that is not there (404);
one that you may see, but not do this with, names the action and the URN that you lack (403). Lists show what you may
see. A program with an address that declares nothing does not start.
"""


def page() -> str:
    """The whole page."""
    routes = [(_method(route.kind, route.method), route.path, route.asks) for route in all_routes()]
    pages = [(page.method, page.path, page.asks) for page in ALL]
    return f"{HEAD}\n## The API\n\n{_table(routes)}\n## The pages\n\n{_table(pages)}"


def _method(kind: str, method: str) -> str:
    return {"websocket": "WEBSOCKET", "events": "GET (events)"}.get(kind, method)


def _table(rows: Iterable[tuple[str, str, Asks]]) -> str:
    lines = [
        f"| `{method} {path}` | {', '.join(f'`{action}`' for action in asks.actions) or '-'} | {_why(asks)} |\n"
        for method, path, asks in sorted(rows, key=lambda row: (row[1], row[0]))
    ]
    return "| Address | Action | Else |\n|---|---|---|\n" + "".join(lines)


def _why(asks: Asks) -> str:
    return f"own: {asks.own}" if asks.own else f"public: {asks.public}" if asks.public else ""


if __name__ == "__main__":
    print(page(), end="")
