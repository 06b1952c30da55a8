"""Where a request came from: the other end of its connection, or what a listed proxy says of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from dais.kit.errors import Invalid

HOPS = 20
"""Proxies in a row that are looked behind."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Addresses:
    """Knows which proxies are trusted: what anybody else forwards is what they like to say.

    `proxies` are addresses and networks, as `10.0.0.0/8`. Raises Invalid `bad-setting`.
    """

    def __init__(self, proxies: Sequence[str] = ()) -> None:
        try:
            self._networks = [ipaddress.ip_network(text.strip(), strict=False) for text in proxies]
        except ValueError as error:
            raise Invalid(
                f"DAIS_SERVER_TRUSTED_PROXIES: {error}; give addresses and networks, as 10.0.0.1,192.168.0.0/16",
                code="bad-setting",
            ) from error

    def of(self, scope: dict[str, Any]) -> str:
        """The address of who sent a request; "" where it is not known (a Unix socket)."""
        client = scope.get("client")
        peer: str = client[0] if client else ""
        if not self._networks:
            return peer
        address = _parsed(peer)
        if address is None or not self._trusts(address):
            return peer
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        # The nearest proxy wrote the last one. What stands before the first that is not trusted may be made up.
        for text in reversed(forwarded.decode("latin-1").split(",")[-HOPS:]):
            found = _parsed(text.strip())
            if found is None:
                break
            address = found
            if not self._trusts(found):
                break
        return str(address)

    def secured(self, scope: dict[str, Any]) -> bool:
        """Whether a trusted proxy says that it took this request over TLS."""
        client = scope.get("client")
        address = _parsed(client[0]) if client and self._networks else None
        if address is None or not self._trusts(address):
            return False
        said = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
        return bool(said) and said[-1].rpartition(b",")[2].strip().lower() == b"https"

    def _trusts(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def _parsed(text: str) -> _Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
