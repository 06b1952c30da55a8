"""Dotfiles: small files in the home of your interactive jobs."""

from __future__ import annotations

import base64

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Request, Resource, operation
from dais.wire.answers import Answer, Dotfile


class DotfileText(Answer, frozen=True, kw_only=True):
    """The content of a dotfile, in base64."""

    path: str
    mode: str
    content: str


class DotfilesApi(Resource):
    """Your own dotfiles; `bootstrap` is the script that is run before the command."""

    @operation
    def list(self) -> Flow[list[Dotfile]]:
        """All of them, without their contents."""
        return (yield from self.call(Request("GET", "/v1/dotfiles"), list[Dotfile]))

    @operation
    def read(self, path: str) -> Flow[bytes]:
        """The content of one. Raises NotFound."""
        found = yield from self.call(Request("GET", "/v1/dotfiles/content", {"path": path}), DotfileText)
        return base64.b64decode(found.content)

    @operation
    def set(self, path: str, content: str | bytes, mode: int = 0o644) -> Flow[Dotfile]:
        """Set one of at most 64 KiB, such as `.bashrc`; what is there is replaced. Raises Invalid, TooMany."""
        data = content.encode() if isinstance(content, str) else content
        body = {"content": base64.b64encode(data).decode(), "encoding": "base64", "mode": f"{mode:o}"}
        return (
            yield from self.call(
                Request("PUT", "/v1/dotfiles", {"path": path}, body=msgspec.json.encode(body)), Dotfile
            )
        )

    @operation
    def rm(self, path: str) -> Flow[None]:
        """Remove one. Raises NotFound."""
        yield from self.send(Request("DELETE", "/v1/dotfiles", {"path": path}))


class Dotfiles(DotfilesApi, Blocking):
    """Dotfiles, blocking."""


class AsyncDotfiles(DotfilesApi, Asynchronous):
    """Dotfiles, on asyncio."""
