"""Calls by their service and name, and how what they are given is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dais.api.compat.acai.links import Links
from dais.api.compat.acai.settings import AcaiSettings
from dais.api.context import Services
from dais.identity import Account, Actor
from dais.kit.errors import DaisError, Invalid, NotFound

MISSING = ("no-such-file", "no-such-directory", "no-such-fileset", "no-such-job", "no-such-template", "bad-version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request: who asks, in which project, and the values of its query or its body."""

    services: Services
    settings: AcaiSettings
    links: Links
    actor: Actor
    account: Account
    values: Mapping[str, Any]

    async def read(self, verb: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A verb that changes nothing, as the actor."""
        return await self.services.db.read(verb, self.actor, *args, **kwargs)

    async def write(self, verb: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A verb that changes something, as the actor."""
        return await self.services.db.write(verb, self.actor, *args, **kwargs)

    def text(self, name: str, default: str | None = None) -> str:
        """A value that is a text; numbers are taken for one. Raises Invalid where there is none and no default."""
        value = self.values.get(name, default)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise Invalid(f"{name} is missing, or is no text", code="bad-parameter")
        return value

    def texts(self, name: str) -> list[str]:
        """A value that is a list of texts."""
        return [item if isinstance(item, str) else str(item) for item in self.items(name)]

    def items(self, name: str) -> list[Any]:
        """A value that is a list, or one thing alone; missing is empty. Raises Invalid."""
        value = self.values.get(name)
        if value is None:
            return []
        if isinstance(value, str | int):
            return [value]
        if not isinstance(value, list) or any(isinstance(item, dict | list) and name != "conditions" for item in value):
            raise Invalid(f"{name} is no list of texts", code="bad-parameter")
        return value


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Entry:
    """What answers a call. `open`: it asks for a token by itself."""

    method: str
    handler: Handler
    open: bool = False


class Calls:
    """The calls of some services, by `/service/call`."""

    def __init__(self) -> None:
        self.all: dict[str, Entry] = {}

    def add(self, method: str, *paths: str, open: bool = False) -> Callable[[Handler], Handler]:  # noqa: A002
        """Have a handler answer at these paths."""

        def register(handler: Handler) -> Handler:
            for path in paths:
                assert path not in self.all, path
                self.all[path] = Entry(method, handler, open)
            return handler

        return register


@contextmanager
def entity(ref: object) -> Iterator[None]:
    """Tell of what is not there as ACAI did: `Entity my_output:0 does not exist.`"""
    try:
        yield
    except (NotFound, Invalid) as error:
        if error.code not in MISSING:
            raise
        raise NotFound(f"Entity {str(ref)[:200]} does not exist. {error.message}", code=error.code) from error
    except DaisError:
        raise


def plain_ref(text: str) -> str:
    """A reference as it was meant: ACAI's client appends a version to what has one already (`a.txt:1:1`)."""
    head, _, last = text.rpartition(":")
    again, _, version = head.rpartition(":")
    return head if last.isdigit() and version.isdigit() and again else text


def short(path: str) -> str:
    """A path as ACAI's ids have it: without the slash at its beginning."""
    return path.removeprefix("/")
