"""Images: what containers start from."""

from __future__ import annotations

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation, quoted
from dais.sdk.pages import whole
from dais.wire.answers import Image


class ImagesApi(Resource):
    """Administrators register root directories of the machines as images; jobs name them by `image`."""

    @listing
    def list(self) -> Items[Image]:
        """The registered images."""
        yield from whole(self, "/v1/images", Image)

    @operation
    def get(self, name: str, *, group: str = "default") -> Flow[Image]:
        """One image, with its size. Raises NotFound."""
        return (yield from self.call(Request("GET", f"/v1/images/{quoted(name)}", query={"group": group}), Image))

    @operation
    def add(self, name: str, path: str, *, group: str = "default") -> Flow[Image]:
        """Register a directory of the machine that runs the jobs. Raises Forbidden, Invalid `bad-root`, Conflict."""
        body = {"name": name, "path": path, "group": group}
        return (yield from self.call(Request("POST", "/v1/images", body=msgspec.json.encode(body)), Image))

    @operation
    def rm(self, name: str, *, group: str = "default") -> Flow[None]:
        """Forget it; the directory stays. Raises Forbidden, NotFound, or Conflict while a job uses it."""
        yield from self.send(Request("DELETE", f"/v1/images/{quoted(name)}", query={"group": group}))


class Images(ImagesApi, Blocking):
    """Images, blocking."""


class AsyncImages(ImagesApi, Asynchronous):
    """Images, on asyncio."""
