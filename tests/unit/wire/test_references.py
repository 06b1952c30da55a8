"""What short names of images mean, and what is refused as one."""

from __future__ import annotations

import re

import pytest

from dais.wire.references import check_registry, is_digest, parse_reference

DIGEST = f"sha256:{'ab' * 32}"


@pytest.mark.parametrize(
    "text, whole, short",
    [
        ("python", "docker.io/library/python:latest", "python:latest"),
        ("python:3.12-slim", "docker.io/library/python:3.12-slim", "python:3.12-slim"),
        ("joe/tool", "docker.io/joe/tool:latest", "joe/tool:latest"),
        ("docker.io/python", "docker.io/library/python:latest", "python:latest"),
        ("index.docker.io/joe/tool:1", "docker.io/joe/tool:1", "joe/tool:1"),
        ("localhost/base:1", "localhost/base:1", "localhost/base:1"),
        ("hub.lab:5000/a/b__c/d-e", "hub.lab:5000/a/b__c/d-e:latest", "hub.lab:5000/a/b__c/d-e:latest"),
        ("[::1]:5000/a:b", "[::1]:5000/a:b", "[::1]:5000/a:b"),
        (f"python@{DIGEST}", f"docker.io/library/python@{DIGEST}", f"python@{DIGEST}"),
        (f"python:3@{DIGEST}", f"docker.io/library/python:3@{DIGEST}", f"python:3@{DIGEST}"),
    ],
)
def test_a_name_is_made_whole(text: str, whole: str, short: str) -> None:
    found = parse_reference(text)
    assert str(found) == whole
    assert found.short == short
    assert parse_reference(whole) == found == parse_reference(short)


@pytest.mark.parametrize(
    "text, about",
    [
        ("", "''"),
        ("Python", "'Python'"),
        ("a//b", "''"),
        ("a:b:c", "'b:c' is no tag"),
        ("a:", "'' is no tag"),
        ("a@sha256:12", "no digest"),
        ("../etc", "no registry"),
        ("hub.lab/../x", "'..'"),
        ("-x/y", "'-x'"),
        ("https://hub.lab/x", "'https:' is no registry"),
        (f"hub.lab/{'a' * 255}", "255"),
        ("a b", "'a b'"),
        ("пример/x", "'пример'"),
    ],
)
def test_what_is_no_name_is_refused_with_the_part_that_is_wrong(text: str, about: str) -> None:
    with pytest.raises(ValueError, match=re.escape(about)):
        parse_reference(text)


def test_registries_and_digests() -> None:
    assert check_registry("hub.lab:5000") == "hub.lab:5000"
    assert check_registry("registry-1.docker.io") == "docker.io"
    for wrong in ("", "https://hub.lab", "hub.lab/project", "hub lab", "hub.lab:123456"):
        with pytest.raises(ValueError, match="is no registry"):
            check_registry(wrong)
    assert is_digest(DIGEST)
    assert not is_digest(DIGEST[:-1])
    assert not is_digest(f"{DIGEST}\n")
