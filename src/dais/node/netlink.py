"""The few requests to the kernel's routing tables (rtnetlink) that a job's way to the internet needs. IPv4 only."""

from __future__ import annotations

import os
import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NEWLINK, _SETLINK, _NEWADDR, _NEWROUTE, _GETROUTE = 16, 19, 20, 24, 26
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _REPLACE, _EXCL, _CREATE, _DUMP = 1, 4, 0x100, 0x200, 0x400, 0x300
_IFF_UP = 1
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_AF_SPEC, _IFLA_NET_NS_FD = 3, 4, 18, 26, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_INET_CONF, _FORWARDING = 1, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_MAIN, _STATIC, _UNIVERSE, _LINK, _ONLINK = 254, 4, 0, 253, 4
_UNICAST, _LOCAL, _UNREACHABLE = 1, 2, 7
LINKS, ROUTES = 1, 0x40
"""Groups of news: of links, and of IPv4 routes."""


class Netlink:
    """A socket to the kernel of the network namespace in which it was made. Raises OSError throughout."""

    def __init__(self, groups: int = 0) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self.socket.bind((0, groups))

    def close(self) -> None:
        self.socket.close()

    # Changing.

    def set_up(self, index: int, *, mtu: int | None = None, forwarding: bool = False) -> None:
        """Bring a link up; with `forwarding` what comes in by it may go on to others."""
        more = b"" if mtu is None else _attribute(_IFLA_MTU, struct.pack("=I", mtu))
        self._request(_SETLINK, 0, _link(index, _IFF_UP) + more, f"link {index}")
        if forwarding:
            conf = _attribute(_INET_CONF, _attribute(_FORWARDING, struct.pack("=I", 1)))
            body = _link(index, _IFF_UP) + _attribute(_IFLA_AF_SPEC, _attribute(socket.AF_INET, conf))
            self._request(_SETLINK, 0, body, f"forwarding of link {index}")

    def add_pair(self, name: str, peer: str, peer_namespace: int) -> None:
        """Two links that are each other's ends: one here, the other in the namespace of a descriptor."""
        there = _link(0, 0) + _text(_IFLA_IFNAME, peer) + _attribute(_IFLA_NET_NS_FD, struct.pack("=i", peer_namespace))
        info = _text(_INFO_KIND, "veth") + _attribute(_INFO_DATA, _attribute(_VETH_PEER, there))
        body = _link(0, 0) + _text(_IFLA_IFNAME, name) + _attribute(_IFLA_LINKINFO, info)
        self._request(_NEWLINK, _CREATE | _EXCL, body, "a pair of links")

    def add_address(self, index: int, address: str) -> None:
        """One address, with no network around it."""
        packed = socket.inet_aton(address)
        body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, _UNIVERSE, index)
        body += _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed)
        self._request(_NEWADDR, _CREATE | _EXCL, body, f"address {address}")

    def add_route(self, network: str, prefix: int, index: int, gateway: str | None = None) -> None:
        """A way: through a gateway that is taken to be on the link, or straight to it."""
        more = _attribute(_RTA_OIF, struct.pack("=i", index))
        if gateway is None:
            self._route(network, prefix, _UNICAST, _LINK, 0, more)
        else:
            self._route(
                network, prefix, _UNICAST, _UNIVERSE, _ONLINK, more + _attribute(_RTA_GATEWAY, _packed(gateway))
            )

    def forbid(self, network: str, prefix: int) -> None:
        """No way there, and who tries is told so. Forbidding twice is fine."""
        self._route(network, prefix, _UNREACHABLE, _UNIVERSE, 0, b"")

    def _route(self, network: str, prefix: int, kind: int, scope: int, flags: int, more: bytes) -> None:
        body = struct.pack("=BBBBBBBBI", socket.AF_INET, prefix, 0, 0, _MAIN, _STATIC, scope, kind, flags)
        if prefix:
            body += _attribute(_RTA_DST, _packed(network))
        self._request(_NEWROUTE, _CREATE | _REPLACE, body + more, f"route to {network}/{prefix}")

    def _request(self, kind: int, flags: int, body: bytes, what: str) -> None:
        self._send(kind, flags | _ACK, body)
        for told, payload in _messages(self.socket.recv(1 << 16)):
            if told == _ERROR:
                number = -struct.unpack_from("=i", payload)[0]
                if number:
                    raise OSError(number, f"{what}: {os.strerror(number)}")
                return

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self.socket.send(struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, 1, 0) + body)

    # Looking.

    def own_networks(self) -> Iterator[tuple[str, int]]:
        """What this machine takes for itself: its addresses, and whatever else is routed to it."""
        self._send(_GETROUTE, _DUMP, struct.pack("=BBBBBBBBI", socket.AF_INET, *(0,) * 8))
        while True:
            for kind, payload in _messages(self.socket.recv(1 << 18)):
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", payload)[0]
                    raise OSError(number, f"the routes cannot be read: {os.strerror(number)}")
                yield from _own(kind, payload)

    def news(self) -> Iterator[tuple[str, int]]:
        """Networks that have become the machine's own, as far as told; waits for the first news of any kind."""
        for kind, payload in _messages(self.socket.recv(1 << 18)):
            yield from _own(kind, payload)


def index_of(name: str) -> int | None:
    """The index of a link of this process's network namespace; None while there is none of this name."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def _own(kind: int, payload: bytes) -> Iterator[tuple[str, int]]:
    if kind != _NEWROUTE:
        return
    family, prefix, *_, route_kind, _flags = struct.unpack_from("=BBBBBBBBI", payload)
    if family != socket.AF_INET or route_kind != _LOCAL:
        return
    for name, value in _attributes(payload[12:]):
        if name == _RTA_DST:
            yield socket.inet_ntoa(value), prefix


def _link(index: int, flags: int) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, flags, flags)


def _packed(address: str) -> bytes:
    return socket.inet_aton(address)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if length < 16:
            return
        yield kind, data[16:length]
        data = data[(length + 3) & ~3 :]
