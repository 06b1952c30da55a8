"""The native REST routes: one file for each kind of thing, listed here."""

from __future__ import annotations

from dais.api import events, metrics
from dais.api.openapi import openapi_routes
from dais.api.rest import (
    accounts,
    audit,
    blobs,
    doors,
    environments,
    execution,
    files,
    filesets,
    folders,
    groups,
    health,
    identity_providers,
    images,
    invitations,
    job_reports,
    jobs,
    keys,
    lineage,
    login,
    logs,
    meta,
    nodes,
    notify,
    organizations,
    policies,
    registries,
    reproduction,
    roles,
    rules,
    secrets,
    sign_in,
    sources,
    system,
    teams,
    templates,
    terminals,
    transfers,
    users,
)
from dais.api.routing import Route

PARTS = (
    health,
    system,
    sign_in,
    organizations,
    login,
    accounts,
    users,
    invitations,
    teams,
    roles,
    policies,
    rules,
    audit,
    keys,
    identity_providers,
    groups,
    nodes,
    jobs,
    job_reports,
    reproduction,
    logs,
    execution,
    doors,
    terminals,
    templates,
    environments,
    secrets,
    images,
    registries,
    notify,
    folders,
    transfers,
    blobs,
    sources,
    files,
    filesets,
    lineage,
    meta,
)


def all_routes() -> list[Route]:
    """Every route of the native API, and the one that describes them."""
    routes = [route for part in PARTS for route in part.routes.all] + events.routes + metrics.routes.all
    return routes + openapi_routes(routes)
