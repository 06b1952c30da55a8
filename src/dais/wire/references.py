"""Names of container images: `registry/repository:tag`, and the short forms that Docker Hub made usual."""

from __future__ import annotations

import re

import msgspec

DOCKER_HUB = "docker.io"
LOCAL = "localhost"
"""The registry of images that are in no registry: what was built, committed or labelled here."""

_part = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", re.ASCII)
_registry = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]{1,5})?"
    r"|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?",
    re.ASCII,
)
_tag = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_digest = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_MOST = 255


class Reference(msgspec.Struct, frozen=True):
    """An image's name, whole. `registry` is `host[:port]`; just one of `tag` and `digest` may be None, neither both."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """Without tag and digest."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}{f'@{self.digest}' if self.digest else ''}"

    @property
    def short(self) -> str:
        """As people write it: without Docker Hub's host and its `library/`."""
        if self.registry != DOCKER_HUB:
            return str(self)
        return str(self).removeprefix(f"{DOCKER_HUB}/").removeprefix("library/")


def parse_reference(text: str) -> Reference:
    """The whole name that `text` means: `python:3.12` is `docker.io/library/python:3.12`; no tag is `latest`.

    Raises ValueError, which says what is wrong with it.
    """
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise ValueError(f"{digest[:80]!r} after the @ is no digest: sha256: and 64 hexadecimal digits")
    head, slash, tail = rest.partition("/")
    registry, path = (head, tail) if slash and _names_host(head) else (DOCKER_HUB, rest)
    if registry in ("index.docker.io", "registry-1.docker.io"):
        registry = DOCKER_HUB
    path, colon, tag = path.partition(":")
    if colon and not _tag.fullmatch(tag):
        raise ValueError(f"{tag[:140]!r} is no tag: up to 128 of letters, digits, '.', '_' and '-'")
    if registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    if not _registry.fullmatch(registry):
        raise ValueError(f"{registry[:80]!r} is no registry: it is a host, or host:port")
    for part in path.split("/"):
        if not _part.fullmatch(part):
            raise ValueError(
                f"{part[:80]!r} in {text[:255]!r} is no part of a repository's name: lower-case letters and digits, "
                "between them single '.', '_', '__' or '-'"
            )
    if len(registry) + 1 + len(path) > _MOST:
        raise ValueError(f"the name has more than {_MOST} characters")
    return Reference(registry, path, tag or (None if digest else "latest"), digest or None)


def is_digest(text: str) -> bool:
    """Whether it is `sha256:` and 64 hexadecimal digits: an image's id, or the digest of its manifest."""
    return _digest.fullmatch(text) is not None


def check_registry(text: str) -> str:
    """A registry's `host[:port]`, as references name it. Raises ValueError."""
    if not _registry.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no registry: it is a host, or host:port, without https:// and path")
    return DOCKER_HUB if text in ("index.docker.io", "registry-1.docker.io") else text


def _names_host(head: str) -> bool:
    """Docker's rule: the first part is a host where it looks like one, or is not in lower case."""
    return "." in head or ":" in head or head == LOCAL or head.lower() != head
