"""Images: what containers start from, and the registries that they come from."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from dais.sdk.flow import (
    Asynchronous,
    Blocking,
    Emit,
    Flow,
    Items,
    Pause,
    Request,
    Resource,
    listing,
    operation,
    quoted,
)
from dais.sdk.pages import whole
from dais.wire.answers import AllowedRegistries, Image, ImageLog, Registry, RegistryChecked, Rescanned

LOOK_SECONDS = 0.5
"""How often is looked how far a pull or a build is."""
BUSY = ("pulling", "building")


class ImagesApi(Resource):
    """The catalogue: root directories of machines, and container images of groups with a store. Jobs name them.

    Without `group` the only one with an image store is meant; an `account` is the profile's own unless it is named.
    """

    @listing
    def list(self) -> Items[Image]:
        """The images that you may see."""
        yield from whole(self, "/v1/images", Image)

    @operation
    def get(self, name: str, *, group: str | None = None, account: str | None = None) -> Flow[Image]:
        """One image, by name, alias or id. Raises NotFound."""
        return (yield from self._look(name, group, account))

    @operation
    def add(
        self,
        name: str | None,
        path: str | None = None,
        *,
        reference: str | None = None,
        group: str | None = None,
        account: str | None = None,
        installation: bool = False,
    ) -> Flow[Image]:
        """Register a directory of the machines, or a reference (`python:3.12`), which is not fetched by this.

        Raises Forbidden, Invalid `bad-root` or `bad-image`, Conflict.
        """
        body = {"name": name, "path": path, "reference": reference, "group": group, "installation": installation}
        return (yield from self._post("/v1/images", body | {"account": account or self._client.account}))

    @operation
    def rm(
        self, name: str, *, group: str | None = None, account: str | None = None, from_store: bool = False
    ) -> Flow[None]:
        """Forget it; a directory stays. `from_store`: the engine removes it. Raises Forbidden, NotFound, Conflict."""
        query = self._place(group, account) | ({"from_store": True} if from_store else {})
        yield from self.send(Request("DELETE", f"/v1/images/{quoted(name)}", query=query))

    @operation
    def pull(
        self,
        name: str,
        *,
        group: str | None = None,
        account: str | None = None,
        wait: bool = True,
        progress: Callable[[Image], None] | None = None,
    ) -> Flow[Image]:
        """Fetch it to the group's nodes; the image as it is then, which may be `failed`. Raises NotFound, Forbidden."""
        begun = yield from self._post(f"/v1/images/{quoted(name)}/pull", None, self._place(group, account))
        return (yield from self._wait(begun, account, progress)) if wait else begun

    @operation
    def wait(
        self,
        name: str,
        *,
        group: str | None = None,
        account: str | None = None,
        progress: Callable[[Image], None] | None = None,
    ) -> Flow[Image]:
        """The image, once it is neither being fetched nor built. Raises NotFound."""
        found = yield from self._look(name, group, account)
        return (yield from self._wait(found, account, progress))

    @operation
    def rescan(self, *, group: str | None = None) -> Flow[Rescanned]:
        """Look what the engine's store has (administrators)."""
        request = Request("POST", "/v1/images/rescan", query={"group": group})
        return (yield from self.call(request, Rescanned))

    @operation
    def build(
        self,
        name: str,
        source: str,
        *,
        dockerfile: str = "Dockerfile",
        group: str | None = None,
        account: str | None = None,
        installation: bool = False,
        arguments: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
        cache: bool = True,
        replace: bool = False,
        time: int = 3600,
    ) -> Flow[Image]:
        """Begin to build from a source that was captured (`client.sources.capture`); follow with `log`, or `wait`.

        Raises Invalid `build-failed` for what the Dockerfile may not do, Conflict, Forbidden.
        """
        body: dict[str, Any] = {
            "name": name,
            "source": source,
            "dockerfile": dockerfile,
            "group": group,
            "account": account or self._client.account,
            "installation": installation,
            "arguments": dict(arguments or {}),
            "labels": dict(labels or {}),
            "secrets": builtins.list(secrets),
            "cache": cache,
            "replace": replace,
            "time": time,
        }
        return (yield from self._post("/v1/images/build", body))

    @listing
    def log(
        self, name: str, *, group: str | None = None, account: str | None = None, follow: bool = True
    ) -> Items[str]:
        """What a build printed, piece by piece; with `follow` until it has ended. Raises NotFound."""
        offset = 0
        while True:
            query = self._place(group, account) | {"offset": offset, "wait": follow}
            request = Request("GET", f"/v1/images/{quoted(name)}/log", query=query)
            piece = yield from self.call(request, ImageLog)
            if piece.text:
                yield Emit(piece.text)
            offset = piece.next
            if not follow or (piece.complete and not piece.text):
                return

    @operation
    def commit(
        self, job: str, name: str, *, labels: Mapping[str, str] | None = None, account: str | None = None
    ) -> Flow[Image]:
        """Make an image of what a running job has written, without what is mounted. Raises Conflict `not-running`."""
        path = f"/v1/jobs/{quoted(job)}/commit"
        query = {"account": account or self._client.account}
        return (yield from self._post(path, {"name": name, "labels": dict(labels or {})}, query))

    @operation
    def import_(
        self,
        source: str,
        name: str,
        *,
        labels: Mapping[str, str],
        group: str | None = None,
        account: str | None = None,
        installation: bool = False,
    ) -> Flow[Image]:
        """Make an image with more labels of one in the catalogue. Raises NotFound, Conflict, Invalid `bad-label`."""
        body = {
            "name": name,
            "labels": dict(labels),
            "installation": installation,
            "account": account or self._client.account,
        }
        return (yield from self._post(f"/v1/images/{quoted(source)}/import", body, self._place(group, account)))

    @operation
    def add_alias(self, name: str, alias: str, *, group: str | None = None, account: str | None = None) -> Flow[Image]:
        """Give an image another name. Raises NotFound, Conflict, Forbidden."""
        path = f"/v1/images/{quoted(name)}/aliases"
        return (yield from self._post(path, {"alias": alias}, self._place(group, account)))

    @operation
    def rm_alias(self, name: str, alias: str, *, group: str | None = None, account: str | None = None) -> Flow[Image]:
        """Take an alias away. Raises NotFound, Forbidden."""
        path = f"/v1/images/{quoted(name)}/aliases/{quoted(alias)}"
        return (yield from self.call(Request("DELETE", path, query=self._place(group, account)), Image))

    def _place(self, group: str | None, account: str | None) -> dict[str, Any]:
        return {"group": group, "account": account or self._client.account}

    def _look(self, name: str, group: str | None, account: str | None) -> Flow[Image]:
        query = self._place(group, account)
        return (yield from self.call(Request("GET", f"/v1/images/{quoted(name)}", query=query), Image))

    def _post(self, path: str, body: object, query: Mapping[str, Any] | None = None) -> Flow[Image]:
        encoded = None if body is None else msgspec.json.encode(body)
        return (yield from self.call(Request("POST", path, query=query or {}, body=encoded), Image))

    def _wait(self, image: Image, account: str | None, progress: Callable[[Image], None] | None) -> Flow[Image]:
        while image.state in BUSY:
            if progress is not None:
                progress(image)
            yield Pause(LOOK_SECONDS)
            image = yield from self._look(image.id or image.name, image.group, account)
        return image


class Images(ImagesApi, Blocking):
    """Images, blocking."""


class AsyncImages(ImagesApi, Asynchronous):
    """Images, on asyncio."""


class RegistriesApi(Resource):
    """Registries (administrators of the installation)."""

    @listing
    def list(self) -> Items[Registry]:
        """Those that are registered."""
        yield from whole(self, "/v1/registries", Registry)

    @operation
    def add(
        self,
        host: str,
        *,
        kind: str = "docker-v2",
        insecure: bool = False,
        username: str = "",
        password: str | None = None,
        organization: str = "",
    ) -> Flow[Registry]:
        """Register one: `host[:port]`; `insecure` is plain HTTP. Raises Invalid, Conflict, Forbidden."""
        body = {"host": host, "kind": kind, "insecure": insecure, "username": username, "password": password}
        encoded = msgspec.json.encode(body | {"organization": organization})
        return (yield from self.call(Request("POST", "/v1/registries", body=encoded), Registry))

    @operation
    def set(
        self,
        host: str,
        *,
        kind: str | None = None,
        insecure: bool | None = None,
        username: str | None = None,
        password: str | None = None,
        organization: str | None = None,
    ) -> Flow[Registry]:
        """Change what is given; a `username` of "" takes the credentials away. Raises NotFound, Invalid, Forbidden."""
        given = {"kind": kind, "insecure": insecure, "username": username, "password": password}
        change = {name: value for name, value in (given | {"organization": organization}).items() if value is not None}
        request = Request("PATCH", f"/v1/registries/{quoted(host)}", body=msgspec.json.encode(change))
        return (yield from self.call(request, Registry))

    @operation
    def rm(self, host: str) -> Flow[None]:
        """Forget it; images of it that are there stay. Raises NotFound, Forbidden."""
        yield from self.send(Request("DELETE", f"/v1/registries/{quoted(host)}"))

    @operation
    def check(self, host: str) -> Flow[RegistryChecked]:
        """Whether it answers and takes the credentials. Raises NotFound, Forbidden, Invalid, Unavailable."""
        return (yield from self.call(Request("POST", f"/v1/registries/{quoted(host)}/check"), RegistryChecked))

    @operation
    def rescan(self, host: str, *, group: str | None = None, match: str = "") -> Flow[Rescanned]:
        """Enter its tags into the catalogue of a group; `match` is like `ml/*`. Raises as `check`, TooMany."""
        query = {"group": group, "match": match or None}
        return (yield from self.call(Request("POST", f"/v1/registries/{quoted(host)}/rescan", query=query), Rescanned))

    @operation
    def allowed(self, organization: str) -> Flow[AllowedRegistries]:
        """Which registries an organization may use. Raises NotFound, Forbidden."""
        path = f"/v1/organizations/{quoted(organization)}/registries"
        return (yield from self.call(Request("GET", path), AllowedRegistries))

    @operation
    def allow(self, organization: str, hosts: Sequence[str]) -> Flow[AllowedRegistries]:
        """Give an organization a list of its own; [] takes it away. Raises NotFound, Forbidden."""
        path = f"/v1/organizations/{quoted(organization)}/registries"
        body = msgspec.json.encode({"hosts": builtins.list(hosts)})
        return (yield from self.call(Request("PUT", path, body=body), AllowedRegistries))


class Registries(RegistriesApi, Blocking):
    """Registries, blocking."""


class AsyncRegistries(RegistriesApi, Asynchronous):
    """Registries, on asyncio."""
