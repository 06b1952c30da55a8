"""What engines and registries say, as codes; the messages are Docker's 20.10, Podman's 4.3 and Docker Hub's own."""

from __future__ import annotations

import aiodocker
import pytest

from dais.engines.container.problems import classified, told
from dais.engines.contract import ImageProblem

SAID = [
    ("manifest for h/x:1 not found: manifest unknown: manifest unknown", 404, "image-not-found"),
    (
        "initializing source docker://h/x:1: reading manifest 1 in h/x: manifest unknown: manifest unknown",
        0,
        "image-not-found",
    ),
    ("pull access denied for x, repository does not exist or may require 'docker login'", 404, "image-not-found"),
    ('Head "http://h/v2/base/manifests/1": no basic auth credentials', 500, "bad-credentials"),
    (
        "initializing source docker://h/x:1: reading manifest 1 in h/x: unauthorized: authentication required",
        0,
        "bad-credentials",
    ),
    ("denied: requested access to the resource is denied", 0, "bad-credentials"),
    ('Get "http://h/v2/": dial tcp h:5059: connect: connection refused', 500, "registry-unreachable"),
    ('Get "https://h/v2/": dial tcp: lookup h on 10.0.0.1:53: no such host', 500, "registry-unreachable"),
    ('Get "https://h/v2/": http: server gave HTTP response to HTTPS client', 500, "registry-unreachable"),
    ('Get "https://h/v2/": x509: certificate signed by unknown authority', 500, "registry-unreachable"),
    ("toomanyrequests: You have reached your pull rate limit", 429, "registry-unreachable"),
    ("no matching manifest for linux/amd64 in the manifest list entries", 404, "wrong-architecture"),
    (
        "choosing an image from manifest list docker://h/x: no image found in manifest list for architecture amd64",
        0,
        "wrong-architecture",
    ),
    ("write /var/lib/docker/tmp/x: no space left on device", 500, "no-disk"),
    ("conflict: unable to remove repository reference (must force)", 409, "in-use"),
    ("something else", 500, "image-failed"),
]


@pytest.mark.parametrize("message, status, code", SAID)
def test_messages_have_codes(message: str, status: int, code: str) -> None:
    assert classified(message, status) == code


def test_with_credentials_a_hidden_repository_is_one_that_they_do_not_open() -> None:
    message = "pull access denied for x, repository does not exist or may require 'docker login'"
    assert classified(message, 404, signed_in=True) == "bad-credentials"


def test_problems_name_the_image_and_the_remedy() -> None:
    error = told("h/x:1", aiodocker.DockerError(500, "no basic auth credentials"))
    assert isinstance(error, ImageProblem)
    assert error.code == "bad-credentials"
    assert "h/x:1" in str(error)
    assert "dais registry set" in str(error)
    assert isinstance(told("x", aiodocker.DockerError(900, "Cannot connect")), ConnectionError)
