"""The facade's edge: the native application, with this system's routes and its shape of errors."""

from __future__ import annotations

import msgspec

from dais.api.application import Application
from dais.api.compat.eai.jobs import routes
from dais.api.context import Services
from dais.api.errors import describe
from dais.api.routing import Answered, Scope

_places = ("/v1/account/", "/v1/cluster/", "/v1/job/")
_paths = ("/v1/me/job", "/v1/token")


class EaiApplication(Application):
    """Answers what clients of the toolkit ask at its console. `/v1/me` is the native API's, which has their fields."""

    def __init__(self, services: Services) -> None:
        super().__init__(routes.all, services)

    @staticmethod
    def answers(scope: Scope) -> bool:
        """Whether a request is for one of the toolkit's paths; none of them is the native API's."""
        path: str = scope["path"]
        return scope["type"] == "http" and (path.startswith(_places) or path in _paths)

    def problem(self, error: BaseException, request_id: str) -> Answered:
        """Its clients look for `http: 404` and `already exists` in what they are told."""
        problem, headers = describe(error)
        taken = "resource with this name already exists: " if problem.code == "already-exists" else ""
        text = f"http: {problem.status}: {taken}{problem.detail}"
        told = {"error": text, "message": text, "status": problem.status, "code": problem.code, "request": request_id}
        body = msgspec.json.encode(told)
        head = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-length", b"%d" % len(body)),
        ]
        head += [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        return problem.status, head, body
