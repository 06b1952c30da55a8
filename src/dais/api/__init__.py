"""The native API over HTTP: typed routes, problems, events. Each file below `rest` and `events` holds some routes."""

from dais.api.application import Application
from dais.api.auth import Authenticator, tokens_in_address
from dais.api.context import Context, Parts, Services
from dais.api.errors import Disconnected, HttpProblem, describe
from dais.api.rest import all_routes
from dais.api.routing import Header, Reply, Routes, read_body, send_json
from dais.api.sse import ServerEvent

__all__ = [
    "Application",
    "Authenticator",
    "Context",
    "Disconnected",
    "Header",
    "HttpProblem",
    "Parts",
    "Reply",
    "Routes",
    "ServerEvent",
    "Services",
    "all_routes",
    "describe",
    "read_body",
    "send_json",
    "tokens_in_address",
]
