"""The native REST routes: one file for each kind of thing, listed here."""

from __future__ import annotations

from dais.api.rest import accounts, system
from dais.api.routing import Route

routes: list[Route] = [route for part in (system, accounts) for route in part.routes.all]
"""Every route below `/v1` but the event streams."""
