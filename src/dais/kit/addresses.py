"""Where the server connects to for others: public addresses, and what the installation names. All else is an inside.

Somebody else chooses the address and the server connects to it, from inside the network. So each address that a name
has is checked, and the connection goes to one that was checked: the name is not asked for a second time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from dais.kit.errors import Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_translated = tuple(
    ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")
)
"""IPv6 networks in which an IPv4 address hides."""


class Internal(Exception):
    """The target lies inside; the message says which address. What to do is the caller's to say."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What is internal and may be reached all the same."""

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str], setting: str = "the setting") -> Allowed:
        """From a setting's entries. Raises Invalid `bad-setting`."""
        names, networks = set(), []
        for entry in entries:
            entry = entry.strip().lower()
            try:
                networks.append(ipaddress.ip_network(entry))
            except ValueError as error:
                if "/" in entry or ":" in entry or not entry:
                    raise Invalid(
                        f"{setting} names {entry!r}, which is neither a host nor a network "
                        f"({error}); write for example hooks.lan,10.1.0.0/16",
                        code="bad-setting",
                    ) from error
                names.add(entry.rstrip("."))
        return cls(frozenset(names), tuple(networks))

    def has_name(self, host: str) -> bool:
        return host.lower().rstrip(".") in self.names

    def has(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


async def resolve(host: str, port: int, allowed: Allowed) -> list[tuple[str, bool]]:
    """The addresses that may be connected to, and whether each is internal and allowed. Raises Internal, OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    known = allowed.has_name(host)
    checked: dict[str, bool] = {}
    for *_, place in found:
        text = str(place[0])
        address = ipaddress.ip_address(text.partition("%")[0])
        inside = known or allowed.has(address)
        if not inside:
            refuse_internal(host, address)
        checked[text] = inside
    return list(checked.items())


def refuse_internal(host: str, address: Address) -> None:
    """Return when an address is a public one of another machine. Raises Internal."""
    mapped = getattr(address, "ipv4_mapped", None)
    plain: Address = mapped if mapped is not None else address
    if (
        plain.is_global
        and not (plain.is_multicast or plain.is_reserved or plain.is_loopback or plain.is_link_local)
        and not any(plain in network for network in _translated if network.version == plain.version)
        and not _is_own(plain)
    ):
        return
    where = str(address) if str(address) == host else f"{host} ({address})"
    raise Internal(f"{where} is an internal address")


def _is_own(address: Address) -> bool:
    """Whether it is one of this machine's: then the kernel would send from that very address. Nothing is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ipaddress.ip_address(str(probe.getsockname()[0]).partition("%")[0]) == address
    except OSError:
        return False  # there is no way to it at all: connecting will say so
