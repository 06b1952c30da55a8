"""Server-Sent Events of the outbox. Logs are followed below `rest`."""

from __future__ import annotations

from dais.api.events import jobs, stream
from dais.api.routing import Route

routes: list[Route] = [*stream.routes.all, *jobs.routes.all]
