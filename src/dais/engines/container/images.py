"""The image store of Docker and Podman, through the API that they share.

What an image's configuration says never changes for its id, so it is asked for once. Everything that takes long is a
stream of progress; a stream on which nothing comes for STALL seconds is given up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import aiodocker
import msgspec

from dais.engines.container.builds import built, context_of, derived_from
from dais.engines.container.problems import told_now
from dais.engines.contract import (
    BuildRequest,
    Credentials,
    Handle,
    ImageFacts,
    ImageProblem,
    Progress,
)
from dais.wire.references import LOCAL, Reference, is_digest, parse_reference

STALL = 600.0
"""Seconds without a word after which a pull or a push is given up: a large layer takes long to unpack."""
COMMIT_LIMIT = 3600.0
_KEPT = 4096
_architectures = {"x86_64": "amd64", "aarch64": "arm64"}
_pulled = {"Download complete", "Pull complete", "Already exists", "Verifying Checksum", "Extracting"}


class ContainerImages:
    """Images of one Docker or Podman. The client belongs to the caller, who opens and closes it.

    `build_network` is the network of build steps (Docker's names; None: the engine's default).
    """

    def __init__(self, docker: aiodocker.Docker, *, build_network: str | None = None) -> None:
        self._docker = docker
        self._network = build_network
        self._configurations: dict[str, dict[str, Any]] = {}
        self._about: tuple[bool, str] | None = None
        self._digests: dict[tuple[str, str], str] = {}  # the one that the registry has, by image and name

    async def images(self) -> list[ImageFacts]:
        """Every image that has a name. Raises ImageProblem, OSError."""
        with told_now("the images"):
            listed = await self._docker.images.list()
        found = []
        for one in listed:
            configuration = self._configurations.get(one["Id"]) or await self._inspect(one["Id"])
            if configuration is not None:  # else it was removed meanwhile
                found.append(_facts(configuration, one.get("RepoTags") or (), one.get("RepoDigests") or ()))
        return [facts for facts in found if facts.references]

    async def image(self, reference: str) -> ImageFacts | None:
        """One image. Raises ImageProblem, OSError."""
        configuration = await self._inspect(reference)
        if configuration is None:
            return None
        wanted = None if is_digest(reference) else parse_reference(reference)
        facts = _facts(configuration, configuration["RepoTags"] or (), configuration["RepoDigests"] or (), wanted)
        if wanted is None:
            return facts
        known = wanted.digest or self._digests.get((facts.id, wanted.name)) or facts.digest
        return msgspec.structs.replace(facts, digest=known)

    async def pull(self, reference: str, credentials: Credentials | None = None) -> AsyncIterator[Progress]:
        """Fetch an image, telling the bytes of its layers where the engine does. Raises ImageProblem, OSError."""
        wanted = parse_reference(reference)
        _, architecture = await self._engine()
        async with contextlib.aclosing(self._pulled(wanted, credentials)) as steps:
            async for progress in steps:
                yield progress
        await self._settle_digest(wanted, credentials)
        facts = await self.image(reference)
        if facts is None:
            raise ImageProblem("image-failed", f"{reference} was fetched, and yet the engine does not have it")
        if facts.architecture and facts.architecture != architecture:
            await self.remove_image(reference)
            raise ImageProblem(
                "wrong-architecture",
                f"{reference} is made for {facts.system}/{facts.architecture}, and the nodes are {architecture}; "
                f"name an image that is made for {architecture}",
            )

    async def _pulled(self, wanted: Reference, credentials: Credentials | None) -> AsyncGenerator[Progress]:
        layers = _Layers()
        with told_now(str(wanted), signed_in=credentials is not None):
            stream = self._docker.images.pull(str(wanted), tag=None, auth=_auth(credentials), stream=True, timeout=None)
            async with contextlib.aclosing(_watched(stream)) as messages:
                async for message in messages:
                    yield layers.note(message)

    async def _settle_digest(self, wanted: Reference, credentials: Credentials | None) -> None:
        """Find out which of an image's manifests its registry has.

        Podman lists every manifest that an image ever had, also one of layers packed otherwise, with each of the
        image's names and in any order. Content that is here already is not fetched again to ask for it.
        """
        configuration = await self._inspect(str(wanted))
        among = _digests((configuration or {}).get("RepoDigests") or ()).get(wanted.name, set())
        if configuration is None or wanted.digest is not None or len(among) < 2:
            return
        for digest in sorted(among):
            try:
                async for _ in self._pulled(Reference(wanted.registry, wanted.repository, None, digest), credentials):
                    pass
            except ImageProblem as problem:
                if problem.code != "image-not-found":
                    raise
            else:
                self._digests[configuration["Id"], wanted.name] = digest
                return

    async def push(self, reference: str, credentials: Credentials | None = None) -> AsyncIterator[Progress]:
        """Send an image to its registry. Raises ImageProblem, OSError."""
        wanted = parse_reference(reference)
        layers = _Layers()
        with told_now(reference, signed_in=credentials is not None):
            # Podman wants a header that it can read, and Docker any.
            auth = _auth(credentials) or {"username": "", "password": ""}
            stream = self._docker.images.push(wanted.name, tag=wanted.tag, auth=auth, stream=True, timeout=None)
            async with contextlib.aclosing(_watched(stream)) as messages:
                async for message in messages:
                    yield layers.note(message)
        await self._settle_digest(wanted, credentials)

    async def build(self, request: BuildRequest) -> AsyncIterator[Progress]:
        """Build an image. Raises ImageProblem (`build-failed` with the line of the Dockerfile), OSError."""
        podman, _ = await self._engine()
        sent = await asyncio.to_thread(context_of, request, podman=podman)
        async with contextlib.aclosing(built(self._docker, sent, request, self._network, podman=podman)) as told_of:
            async for progress in told_of:
                yield progress

    async def commit(self, handle: Handle, reference: str, labels: Mapping[str, str]) -> ImageFacts:
        """Make an image of a running container. Raises LookupError, ImageProblem, OSError.

        Neither what is mounted, nor the environment and the labels that the container was given are in it: they are
        the job's, and may hold secrets. An API of this age cannot take a variable away, so they are there, empty.
        """
        podman, _ = await self._engine()
        name = str(handle.get("container") or handle.get("id") or handle["attempt_id"])
        with told_now(reference):
            try:
                about = await self._docker._query_json(f"containers/{name}/json")
            except aiodocker.DockerError as error:
                if error.status == 404:
                    raise LookupError(f"there is no container {name}") from error
                raise
            if not about["State"]["Running"]:
                raise LookupError(f"container {name} does not run")
            if about["HostConfig"].get("ReadonlyRootfs"):
                raise ImageProblem(
                    "image-failed",
                    "nothing can have been written: the job's root file system is read-only; start it from an image "
                    "whose Dockerfile says LABEL dais.root=writable",
                )
        base = await self._inspect(about["Image"])
        changes = _undone(about["Config"], (base or {}).get("Config") or {})
        wanted = parse_reference(reference)
        asked = [("container", about["Id"]), ("repo", wanted.name), ("tag", wanted.tag or "latest")]
        asked += [("changes", change) for change in (changes if podman else ["\n".join(changes)])]
        with told_now(reference):
            async with asyncio.timeout(COMMIT_LIMIT):
                path = f"{'libpod/' if podman else ''}commit?{urlencode(asked)}"
                made = await self._docker._query_json(path, "POST", timeout=None)
        own = (base or {}).get("Config") or {}
        start = {"ENTRYPOINT": own.get("Entrypoint") or [], "CMD": own.get("Cmd") or []}
        restored = [f"{word} {msgspec.json.encode(argv).decode()}" for word, argv in start.items()]
        return await self._derived(str(made["Id"]), reference, labels, restored)

    async def relabel(self, reference: str, new: str, labels: Mapping[str, str]) -> ImageFacts:
        """The same layers under a new name with more labels. Raises ImageProblem, OSError."""
        return await self._derived((await self._there(reference)).id, new, labels)

    async def tag(self, reference: str, new: str) -> None:
        """Give an image another name. Raises ImageProblem `image-not-found`, OSError."""
        wanted = parse_reference(new)
        with told_now(reference):
            await self._docker.images.tag(reference, wanted.name, tag=wanted.tag)

    async def remove_image(self, reference: str) -> None:
        """Take a name away, and with the last one the image. Raises ImageProblem `in-use`, OSError."""
        with told_now(reference):
            try:
                await self._docker.images.delete(reference)
            except aiodocker.DockerError as error:
                if error.status != 404:
                    raise

    async def _derived(
        self, image: str, reference: str, labels: Mapping[str, str], more: Sequence[str] = ()
    ) -> ImageFacts:
        """An image of the same layers, with more labels and after more instructions that add no layer."""
        podman, _ = await self._engine()
        request = BuildRequest(context="", reference=reference, labels=labels)
        building = built(self._docker, derived_from(image, more), request, "none", podman=podman)
        async with contextlib.aclosing(building) as told_of:
            async for _ in told_of:
                pass
        return await self._there(reference)

    async def _there(self, reference: str) -> ImageFacts:
        facts = await self.image(reference)
        if facts is None:
            raise ImageProblem("image-not-found", f"there is no image {reference} here; pull it first")
        return facts

    async def _inspect(self, reference: str) -> dict[str, Any] | None:
        with told_now(reference):
            try:
                found = await self._docker.images.inspect(reference)
            except aiodocker.DockerError as error:
                if error.status == 404:
                    return None
                raise
        if len(self._configurations) >= _KEPT:
            self._configurations.clear()
        self._configurations[found["Id"]] = found
        return found

    async def _engine(self) -> tuple[bool, str]:
        """Whether it is Podman, and the architecture of its machine as registries name it."""
        if self._about is None:
            with told_now("the engine"):
                version = await self._docker.version()
            names = {str(part.get("Name", "")) for part in version.get("Components") or ()}
            machine = str(version.get("Arch", ""))
            self._about = (any("Podman" in name for name in names), _architectures.get(machine, machine))
        return self._about


class _Layers:
    """The bytes of all layers of a pull or a push, added up; a layer's total is known once it is begun."""

    def __init__(self) -> None:
        self._done: dict[str, int] = {}
        self._total: dict[str, int] = {}

    def note(self, message: Mapping[str, Any]) -> Progress:
        layer, status = message.get("id"), str(message.get("status") or "").strip()
        counted = message.get("progressDetail") or {}
        if layer and status in ("Downloading", "Pushing") and counted.get("total"):
            self._total[layer] = int(counted["total"])
            self._done[layer] = min(int(counted.get("current", 0)), self._total[layer])
        elif layer in self._total and (status in _pulled or status == "Pushed"):
            self._done[layer] = self._total[layer]
        text = f"{layer}: {status}" if layer and status else status or str(layer or "")
        if not self._total:
            return Progress(text=text)
        return Progress(text=text, done=sum(self._done.values()), total=sum(self._total.values()))


async def _watched(stream: AsyncIterator[dict[str, Any]]) -> AsyncGenerator[dict[str, Any]]:
    """The messages; TimeoutError when none comes for too long."""
    try:
        while True:
            try:
                async with asyncio.timeout(STALL):
                    message = await anext(stream)
            except StopAsyncIteration:
                return
            yield message
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


def _auth(credentials: Credentials | None) -> dict[str, str] | None:
    return None if credentials is None else {"username": credentials.username, "password": credentials.password}


def _facts(found: Mapping[str, Any], references: Any, digests: Any, wanted: Reference | None = None) -> ImageFacts:
    config = found.get("Config") or {}
    named = []
    for text in references:
        with contextlib.suppress(ValueError):  # `<none>:<none>`
            named.append(str(parse_reference(text)))
    known = {name: among for name, among in _digests(digests).items() if len(among) == 1}
    chosen = known.get(wanted.name if wanted else "") or next(iter(known.values()), set())
    environment = dict(pair.partition("=")[::2] for pair in config.get("Env") or ())
    return ImageFacts(
        id=found["Id"],
        references=tuple(sorted(named)),
        digest=next(iter(chosen), None),
        size=found.get("Size") or 0,
        system=found.get("Os") or "linux",
        architecture=_architectures.get(found.get("Architecture", ""), found.get("Architecture", "")),
        labels=config.get("Labels") or {},
        user=config.get("User") or "",
        workdir=config.get("WorkingDir") or "",
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        environment=environment,
        created_at=_micros(found.get("Created")),
    )


def _digests(listed: Any) -> dict[str, set[str]]:
    """The digests of an image's manifests by the names that it has in registries."""
    known: dict[str, set[str]] = {}
    for text in listed:
        with contextlib.suppress(ValueError):
            one = parse_reference(text)
            if one.registry != LOCAL and one.digest is not None:
                known.setdefault(one.name, set()).add(one.digest)
    return known


def _micros(text: object) -> int | None:
    """RFC 3339, with up to nine digits of a second, as µs."""
    if not isinstance(text, str) or not text or text.startswith("0001"):
        return None
    whole, _, rest = text.rstrip("Z").partition(".")
    try:
        seconds = int(datetime.fromisoformat(whole[:19]).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None
    digits = "".join(char for char in rest[:6] if char.isdigit())
    return seconds * 1_000_000 + int(digits.ljust(6, "0") or 0)


def _undone(config: Mapping[str, Any], base: Mapping[str, Any]) -> list[str]:
    """The instructions that take back what the container was given beside its image's own."""
    own = dict(pair.partition("=")[::2] for pair in base.get("Env") or ())
    changes = [
        f"ENV {name}={_quoted(own.get(name, ''))}"
        for name, value in (pair.partition("=")[::2] for pair in config.get("Env") or ())
        if own.get(name) != value
    ]
    labels = base.get("Labels") or {}
    changes += [
        f"LABEL {_quoted(name)}={_quoted(labels.get(name, ''))}"
        for name, value in (config.get("Labels") or {}).items()
        if labels.get(name) != value
    ]
    changes.append(f"USER {base.get('User') or '0'}")
    changes.append(f"WORKDIR {base.get('WorkingDir') or '/'}")
    return changes


def _quoted(value: str) -> str:
    """A value of an instruction, in which nothing is expanded."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", " ")
    return f'"{escaped}"'
