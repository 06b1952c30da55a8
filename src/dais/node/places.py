"""Under which addresses this machine may be reached by others."""

from __future__ import annotations

import ipaddress
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ROUTES4, _ADDRESSES6 = "/proc/net/fib_trie", "/proc/net/if_inet6"
MOST = 16


def own_addresses(towards: list[list[Any]]) -> list[str]:
    """The likeliest first: the one that leads to a server's address, then the others, then the machine's name.

    Whoever is found there must prove to be this node, so that one too many does no harm.
    """
    found: list[str] = []
    for host, port in towards:
        found += _towards(str(host), int(port))
    found += _of_version_4() + _of_version_6()
    fit = [one for one in dict.fromkeys(found) if _is_outward(one)]
    return [*fit[: MOST - 1], socket.gethostname()]


def _towards(host: str, port: int) -> list[str]:
    """What the kernel would send from; nothing is sent."""
    try:
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        with socket.socket(family, kind) as asked:
            asked.connect(address)
            return [str(asked.getsockname()[0])]
    except OSError:
        return []


def _of_version_4() -> list[str]:
    """The kernel's table of local routes: an address, and on the line below it what it is."""
    found, last = [], ""
    for line in _lines(_ROUTES4):
        words = line.split()
        if words[:1] == ["|--"]:
            last = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"]:
            found.append(last)
    return found


def _of_version_6() -> list[str]:
    return [str(ipaddress.IPv6Address(int(line.split()[0], 16))) for line in _lines(_ADDRESSES6)]


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _is_outward(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified)
