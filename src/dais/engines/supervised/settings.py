"""Settings of the way between server and nodes. The composition root registers them under the name `remote`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.engines.supervised.remote import RemoteOptions

_PLACE = r"^(|[^\s:]+:[0-9]{1,5}|\[[0-9a-fA-F:]+\]:[0-9]{1,5})$"
_PORTS = r"^(any|none|[0-9]{1,5}-[0-9]{1,5})$"


class RemoteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the server and nodes on other machines (Slurm's, say) may find each other."""

    listen: Annotated[
        str,
        msgspec.Meta(
            pattern=_PLACE,
            description="Address and port, as in 0.0.0.0:7878, on which the server takes connections of nodes that "
            "cannot be connected to; empty: it does not listen",
        ),
    ] = ""
    address: Annotated[
        str,
        msgspec.Meta(
            pattern=_PLACE,
            description="Host and port that nodes connect to; empty: what `listen` says",
        ),
    ] = ""
    ports: Annotated[
        str,
        msgspec.Meta(
            pattern=_PORTS,
            description="Ports on which a node may listen for the server, as in 40000-40100; any: one that its kernel "
            "chooses; none: nodes do not listen",
        ),
    ] = "any"
    watch: Annotated[
        float,
        msgspec.Meta(
            ge=4, le=3600, description="Seconds after which a silent connection between server and node counts as cut"
        ),
    ] = 60.0

    def options(self) -> RemoteOptions:
        """The same, parsed. Raises ValueError for what is no address."""
        return RemoteOptions(
            listen=_place("listen", self.listen),
            public=_place("address", self.address),
            ports=_range(self.ports),
            watch=self.watch,
        )


def _place(name: str, text: str) -> tuple[str, int] | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if int(port) > 65_535:
        raise ValueError(f"remote.{name}: {port} is no port; the highest is 65535")
    return host.strip("[]"), int(port)


def _range(text: str) -> tuple[int, int] | None:
    if text == "none":
        return None
    first, _, last = ("0-0" if text == "any" else text).partition("-")
    if not int(first) <= int(last) <= 65_535:
        raise ValueError(f"remote.ports: {text} is no range of ports")
    return int(first), int(last)
