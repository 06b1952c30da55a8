"""The ports that a job names: `NAME:PORT[/tcp]`, or a mapping of `name`, `port` and `protocol`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dais.wire.problems import SpecError, nearest, shown
from dais.wire.scalars import choice, integer, list_of, text_of
from dais.wire.spec import Port

MAX_PORTS = 32
PORT_FIELDS = ("name", "port", "protocol")
PROTOCOLS = ("http", "tcp")
_name = re.compile(r"(?=[a-z0-9-]{1,32}\Z)[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_expected = "NAME:PORT or NAME:PORT/tcp"


def read_ports(value: Any, path: str) -> tuple[Port, ...]:
    """The field `ports`: texts, or mappings. Raises SpecError."""
    return tuple(_read_port(item, f"{path}[{index}]") for index, item in enumerate(list_of(value, path)))


def human_port(port: Port) -> str:
    """The text that people would write."""
    return f"{port.name}:{port.port}{'' if port.protocol == 'http' else '/' + port.protocol}"


def check_ports(ports: tuple[Port, ...]) -> None:
    """Names and numbers are possible, and each is there once. Raises SpecError."""
    if len(ports) > MAX_PORTS:
        raise SpecError("ports", f"{len(ports)} ports are too many; a job names at most {MAX_PORTS}")
    for index, port in enumerate(ports):
        path = f"ports[{index}]"
        if not _name.fullmatch(port.name) or port.name.isdigit():
            raise SpecError(
                path,
                f"{shown(port.name)} cannot name a port",
                given=port.name,
                expected="1 to 32 of a-z, 0-9 and single '-' between them, not a number alone",
                hint="write for example web:8080",
            )
        if not 1 <= port.port <= 65_535:
            raise SpecError(path, f"{port.port} is not a port from 1 to 65535", given=port.port)
        for earlier, other in enumerate(ports[:index]):
            for what, same in (("name", other.name == port.name), ("number", other.port == port.port)):
                if same:
                    raise SpecError(
                        path,
                        f"{shown(human_port(port))} has the {what} of ports[{earlier}], {shown(human_port(other))}",
                        given=human_port(port),
                        hint="keep one of them",
                    )


def _read_port(item: Any, path: str) -> Port:
    if isinstance(item, Mapping):
        return _of_mapping(item, path)
    text = text_of(item, path)
    name, colon, rest = text.partition(":")
    number, slash, protocol = rest.partition("/")
    if not (colon and name and number.isascii() and number.isdigit() and len(number) <= 5):
        alone = text.isascii() and text.isdigit()
        raise SpecError(
            path,
            f"{shown(text)} is no port with a name",
            given=text,
            expected=_expected,
            hint=f"write for example web:{text if alone else '8080'}",
        )
    return Port(name=name, port=int(number), protocol=_protocol(protocol, path) if slash else "http")


def _of_mapping(item: Mapping[Any, Any], path: str) -> Port:
    for key in item:
        if key not in PORT_FIELDS:
            near = nearest(str(key), PORT_FIELDS)
            raise SpecError(
                f"{path}.{key}",
                "there is no such field",
                given=key,
                expected=", ".join(PORT_FIELDS),
                hint=f"did you mean {near!r}?" if near else f"there are {', '.join(PORT_FIELDS)}",
                code="unknown-field",
            )
    for name in ("name", "port"):
        if item.get(name) is None:
            raise SpecError(path, f"the field {name!r} is missing", expected="name and port")
    protocol = item.get("protocol")
    return Port(
        name=text_of(item["name"], f"{path}.name"),
        port=integer(item["port"], f"{path}.port"),
        protocol="http" if protocol is None else _protocol(protocol, f"{path}.protocol"),
    )


def _protocol(value: Any, path: str) -> Any:
    return choice(value, path, PROTOCOLS)
