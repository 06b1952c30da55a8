"""The way of packs past the API: connections to the server's listener for bulk data, which are used again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from dais.sdk.bulk import PackLink, address_of
from dais.sdk.errors import NotFound, Unreachable
from dais.sdk.flow import Flow, Request, Resource, work
from dais.sdk.open_file import OpenFile
from dais.wire.lake import Chunk
from dais.wire.transfers import BulkOffer

VAIN = 3
"""Connections that broke, after which the API takes the rest."""


class PackWay:
    """Sends packs of a file's parts, several side by side. `base` is the address of contents in the API."""

    def __init__(self, resource: Resource, base: str) -> None:
        self._resource = resource
        self._base = base
        self._free: list[PackLink] = []
        self._vain = 0

    def sends(self, source: OpenFile, pack: Sequence[tuple[int, Chunk]]) -> Flow[bool]:
        """Send a pack; False: this way leads nowhere now, and the API is to take it. Raises Invalid `file-changed`."""
        link = (yield from self._link()) if self._vain < VAIN else None
        if link is None:
            return False
        try:
            yield from work(partial(link.send, source, pack))
        except Unreachable:  # broken, full, or its ticket has expired: the next one gets another
            self._vain += 1
            link.close()
            return False
        except BaseException:
            link.close()
            raise
        self._vain = 0
        self._free.append(link)
        return True

    def close(self) -> None:
        """Let go of the connections."""
        while self._free:
            self._free.pop().close()

    def _link(self) -> Flow[PackLink | None]:
        if self._free:
            return self._free.pop()
        request = Request("POST", f"{self._base}/bulk", repeatable=True)
        try:
            offer = yield from self._resource.call(request, BulkOffer)
        except NotFound:  # an older server
            offer = BulkOffer()
        address = None if offer.bulk is None else address_of(self._resource.address, offer.bulk)
        if offer.bulk is None or address is None:
            self._vain = VAIN
            return None
        link = PackLink(address, offer.bulk)
        try:
            yield from work(link.open)
        except Unreachable:  # a firewall, a proxy or a tunnel lies between: ask no more
            self._vain = VAIN
            link.close()
            return None
        return link
