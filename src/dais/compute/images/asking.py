"""Asking a registry itself: whether it lets us in, and what it has. Fetching is the engine's; see decision 57.

The registry's own host is asked wherever it stands, for an administrator has named it; where it sends us for a token
must be public, or the same host. Docker registry v2 as its specification has it; Harbor's own API follows its
documentation, and was not tried with a Harbor.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec

from dais.engines.contract import Credentials
from dais.kit.addresses import Allowed, Internal
from dais.kit.errors import Invalid, TooMany, Unavailable
from dais.wire.references import DOCKER_HUB, parse_reference

if TYPE_CHECKING:
    import httpx2

MOST_SECONDS = 120.0
"""How long looking through a registry may take."""
MOST_FOUND = 2_000
"""References that one look may find."""
PER_PAGE = 100
MOST_PAGES = 500

_hosts = {DOCKER_HUB: "registry-1.docker.io"}
_challenge = re.compile(r'([a-z]+)="([^"]*)"')
_next = re.compile(r'<([^>]+)>\s*;[^,]*rel="?next"?')


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How a registry is asked. Secret: it holds a password."""

    host: str
    kind: str
    insecure: bool
    credentials: Credentials | None = None


@asynccontextmanager
async def asked(access: Access) -> AsyncIterator[Catalog]:
    """A registry to ask. What goes wrong on the way is told as Unavailable `registry-unreachable`."""
    import httpx2

    from dais.kit.fetching import guarded

    host = _hosts.get(access.host, access.host)
    named = Allowed(names=frozenset({(urlsplit(f"//{host}").hostname or "").lower()}))
    try:
        async with asyncio.timeout(MOST_SECONDS), httpx2.AsyncClient(**guarded(named)) as client:  # type: ignore[arg-type]
            yield Catalog(access, f"{'http' if access.insecure else 'https'}://{host}", client)
    except TimeoutError as error:
        raise _unreachable(access, f"it took more than {MOST_SECONDS:g} s") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, Internal, OSError) as error:
        raise _unreachable(access, str(error)[:300] or type(error).__name__) from error


class Catalog:
    """What one registry has. Raises Invalid `bad-credentials`, `no-catalogue`; Unavailable `registry-unreachable`."""

    def __init__(self, access: Access, base: str, client: httpx2.AsyncClient) -> None:
        self._access = access
        self._base = base
        self._client = client
        self._tokens: dict[str, str] = {}

    async def check(self) -> None:
        """Whether it answers as a registry does, and takes the credentials."""
        answer = await self._get("/v2/")
        if answer.status_code != 200:
            raise _unreachable(self._access, f"it answers {answer.status_code}, which no registry does")

    async def references(self, match: str = "") -> list[str]:
        """Whole references of every tag of the repositories whose names are like `match` (`ml/*`; "": all)."""
        found: list[str] = []
        for repository in await self.repositories():
            if match and not fnmatchcase(repository, match):
                continue
            for tag in await self.tags(repository):
                try:
                    found.append(str(parse_reference(f"{self._access.host}/{repository}:{tag}")))
                except ValueError:
                    continue  # no engine could fetch it
            if len(found) > MOST_FOUND:
                raise TooMany(
                    f"{self._access.host} has more than {MOST_FOUND:,} tags, which is the limit of one look; look for "
                    "some of its repositories: --match 'ml/*'",
                    code="too-many-images",
                )
        return sorted(found)

    async def repositories(self) -> list[str]:
        """Their names."""
        if self._access.kind == "harbor":
            found = []
            async for project in self._harbor("/api/v2.0/projects"):
                path = f"/api/v2.0/projects/{quote(str(project['name']), safe='')}/repositories"
                found += [str(repository["name"]) async for repository in self._harbor(path)]
            return found
        return await self._listed(f"/v2/_catalog?n={PER_PAGE}", "repositories")

    async def tags(self, repository: str) -> list[str]:
        """The tags of a repository; one without any was emptied."""
        return await self._listed(f"/v2/{quote(repository)}/tags/list?n={PER_PAGE}", "tags")

    async def _listed(self, path: str, field: str) -> list[str]:
        found: list[str] = []
        for _ in range(MOST_PAGES):
            answer = await self._get(path)
            if answer.status_code == 404 and field == "tags":
                return found
            if answer.status_code != 200:
                raise _no_catalogue(self._access, answer.status_code)
            found += [str(name) for name in _object(self._access, answer).get(field) or ()]
            further = _next.search(answer.headers.get("link", ""))
            if further is None or len(found) > MOST_FOUND:
                return found
            target = urlsplit(further[1])  # of this registry, whatever host it says
            path = f"{target.path}?{target.query}"
        return found

    async def _harbor(self, path: str) -> AsyncIterator[Mapping[str, Any]]:
        """The items of a list of Harbor's own API, page by page."""
        for page in range(1, MOST_PAGES + 1):
            answer = await self._get(f"{path}?page={page}&page_size={PER_PAGE}", basic=True)
            if answer.status_code != 200:
                raise _no_catalogue(self._access, answer.status_code)
            try:
                items = msgspec.json.decode(answer.content, type=list[dict[str, Any]])
            except msgspec.DecodeError as error:
                raise _unreachable(self._access, "its answer is not what Harbor says") from error
            for item in items:
                if "name" in item:
                    yield item
            if len(items) < PER_PAGE:
                return

    async def _get(self, path: str, *, basic: bool = False) -> httpx2.Response:
        url, signed = f"{self._base}{path}", self._access.credentials
        plain = (signed.username, signed.password) if signed is not None and basic else None
        answer = await self._client.get(url, auth=plain)
        if answer.status_code == 401 and not basic:
            answer = await self._signed_in(url, answer.headers.get("www-authenticate", ""))
        if answer.status_code in (401, 403):
            who = f"the user {signed.username!r}" if signed is not None else "anybody without a name and a password"
            raise Invalid(
                f"{self._access.host} does not let in {who}: dais registry set {self._access.host} --username NAME",
                code="bad-credentials",
            )
        return answer

    async def _signed_in(self, url: str, challenge: str) -> httpx2.Response:
        """The same again, as the registry's challenge says."""
        signed = self._access.credentials
        plain = (signed.username, signed.password) if signed is not None else None
        way, _, rest = challenge.partition(" ")
        if way.lower() != "bearer":
            return await self._client.get(url, auth=plain)
        asked_for = dict(_challenge.findall(rest))
        realm = urlsplit(asked_for.get("realm", ""))
        if realm.scheme != "https" and f"{realm.scheme}://{realm.netloc}" != self._base:
            raise _unreachable(self._access, "it sends for a token to an address that is neither its own nor https")
        query = {name: asked_for[name] for name in ("service", "scope") if name in asked_for}
        token = self._tokens.get(query.get("scope", ""))
        if token is None:
            answer = await self._client.get(realm.geturl(), params=query, auth=plain)
            if answer.status_code != 200:
                return answer
            told = _object(self._access, answer)
            token = str(told.get("token") or told.get("access_token") or "")
            self._tokens[query.get("scope", "")] = token
        return await self._client.get(url, headers={"authorization": f"Bearer {token}"})


def _object(access: Access, answer: httpx2.Response) -> dict[str, Any]:
    try:
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise _unreachable(access, "its answer is not what a registry says") from error


def _unreachable(access: Access, words: str) -> Unavailable:
    if "WRONG_VERSION_NUMBER" in words:  # of TLS, which is how OpenSSL tells that it was answered without any
        words = f"it speaks plain HTTP; if that is as it should be: dais registry set {access.host} --insecure"
    return Unavailable(f"the registry {access.host} cannot be asked: {words}", code="registry-unreachable")


def _no_catalogue(access: Access, status: int) -> Invalid:
    return Invalid(
        f"{access.host} does not list what it has (it answers {status}); add images one by one: dais image add "
        "REFERENCE",
        code="no-catalogue",
    )
