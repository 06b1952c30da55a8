"""What Docker, Podman and the registries behind them say, as the codes of ImageProblem."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator

import aiodocker
import aiohttp

from dais.engines.container.daemon import unreachable
from dais.engines.contract import ImageProblem

_NO_CONTACT = 900
"""The status by which the client says that the engine cannot be reached, and in its words by which socket."""
_socket = re.compile(r"unix socket (\S+)")

_signs: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("no-disk", ("no space left on device", "disk quota exceeded")),
    (
        "wrong-architecture",
        (
            "no matching manifest for",
            "no image found in manifest list",
            "no image found in image index",
            "does not match the specified platform",
            "cannot be used on this platform",
            "choosing an image from manifest list",
        ),
    ),
    (
        "bad-credentials",
        (
            "unauthorized",
            "no basic auth credentials",
            "authentication required",
            "incorrect username or password",
            "access to the resource is denied",
            "access denied",
            "invalid username/password",
            "403 (forbidden)",
            "403 forbidden",
        ),
    ),
    (
        "image-not-found",
        (
            "manifest unknown",
            "name unknown",
            "repository name not known",
            "no such image",
            "image not known",
            "tag does not exist",
            "was deleted or has expired",
            "reference does not exist",
        ),
    ),
    (
        "registry-unreachable",
        (
            "connection refused",
            "no such host",
            "i/o timeout",
            "deadline exceeded",
            "client.timeout",
            "tls: ",
            "x509",
            "network is unreachable",
            "no route to host",
            "connection reset",
            "server gave http response",
            "server misbehaving",
            "toomanyrequests",
            "too many requests",
            "service unavailable",
            "bad gateway",
            "unexpected eof",
        ),
    ),
)
_remedies = {
    "no-disk": "free space where the engine keeps its images",
    "wrong-architecture": "name an image that is made for these nodes",
    "image-not-found": "look at the name and the tag",
    "registry-unreachable": "see whether the engine's machine reaches the registry",
}


@contextlib.contextmanager
def told_now(reference: str, *, signed_in: bool = False) -> Iterator[None]:
    """What is raised inside, as ImageProblem or OSError; `signed_in`: credentials were sent."""
    try:
        yield
    except aiodocker.DockerError as error:
        raise told(reference, error, signed_in=signed_in) from error
    except TimeoutError as error:
        raise ImageProblem("image-failed", f"{reference}: the engine said nothing for too long; try again") from error
    except json.JSONDecodeError as error:  # Podman refuses some requests with nothing but a status
        raise ImageProblem("image-failed", f"{reference}: the engine refused without a reason") from error
    except aiohttp.ClientError as error:
        raise ConnectionError(f"the engine cannot be reached: {error}") from error


def told(reference: str, error: aiodocker.DockerError, *, signed_in: bool = False) -> Exception:
    """The exception for what the engine answered about an image."""
    if error.status == _NO_CONTACT:
        socket = _socket.search(str(error.message))
        return ConnectionError(unreachable(socket[1]) if socket else str(error.message))
    code, words = classified(str(error.message), error.status, signed_in=signed_in), str(error.message).strip()
    return ImageProblem(code, f"{reference}: {words[:2000]}{_remedy(code, words, signed_in)}")


def classified(message: str, status: int = 0, *, signed_in: bool = False) -> str:
    """The code for an engine's message.

    Docker Hub does not tell an image that is not there from one that may not be seen; without credentials it is taken
    as not there.
    """
    text = message.lower()
    if "repository does not exist or may require" in text:
        return "bad-credentials" if signed_in else "image-not-found"
    for code, signs in _signs:
        if any(sign in text for sign in signs):
            return code
    if status == 409:
        return "in-use"
    return "image-not-found" if status == 404 else "image-failed"


def _remedy(code: str, words: str, signed_in: bool) -> str:
    if code == "bad-credentials":
        wrong = "the registry refuses the name and password that it was registered with"
        missing = "the registry wants a name and a password"
        return f"; {wrong if signed_in else missing}: dais registry set HOST --username NAME --password-stdin"
    if "requires BuildKit" in words:
        return "; Docker's build API has none: leave the option out, or build on a group of Podman's"
    if "server gave http response" in words.lower():
        return "; the registry speaks plain HTTP: tell the engine that it is insecure (docs/images.md)"
    remedy = _remedies.get(code)
    return f"; {remedy}" if remedy else ""
