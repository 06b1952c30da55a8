"""Static files under an address that holds the hash of them all: what is cached for a year can never be stale."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

from dais.kit.errors import NotFound

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"
LARGE = 100_000
"""Bytes of a file from which on it is sent compressed: once, the first time that somebody asks for it."""
POLICIES = {"hasher.js": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'"}
"""Policies of workers, which have their own: digests are computed by WebAssembly, there and nowhere else."""


def _read() -> dict[str, tuple[str, bytes]]:
    """Every file by its name, with its media type."""
    found = {}
    for file in sorted(resources.files("dais.web").joinpath("static").iterdir(), key=lambda file: file.name):
        kind = TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            found[file.name] = (f"{kind}; charset=utf-8", file.read_bytes())
    return found


class Assets:
    """The files, read once. All lie in the directory of their hash, so that modules import each other."""

    def __init__(self) -> None:
        self._files = _read()
        self._packed: dict[str, bytes] = {}
        digest = hashlib.sha256()
        for name, (_, body) in self._files.items():
            digest.update(name.encode() + b"\0" + hashlib.sha256(body).digest())
        self.version = digest.hexdigest()[:16]

    def address(self, name: str) -> str:
        """Where a file is. Raises KeyError for one that there is not: a template is wrong."""
        if name not in self._files:
            raise KeyError(f"there is no static file {name}")
        return f"/static/{self.version}/{name}"

    async def serve(self, request: Request) -> Response:
        """Answer one file; one of another version is gone."""
        file = self._files.get(request.path_params["name"])
        if file is None or request.path_params["version"] != self.version:
            raise NotFound("this file belongs to another version of Dais; load the page again", code="no-such-file")
        policy = POLICIES.get(request.path_params["name"])
        headers = {"cache-control": FOREVER} | ({"content-security-policy": policy} if policy else {})
        kind, body = file
        if len(body) >= LARGE:
            headers["vary"] = "accept-encoding"
            if "gzip" in request.headers.get("accept-encoding", ""):
                headers["content-encoding"] = "gzip"
                body = await self._pack(request.path_params["name"], body)
        return Response(body, media_type=kind, headers=headers)

    async def _pack(self, name: str, body: bytes) -> bytes:
        packed = self._packed.get(name)
        if packed is None:
            packed = self._packed[name] = await asyncio.to_thread(gzip.compress, body, 9)
        return packed
