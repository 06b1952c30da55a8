"""Lines and base images of Dockerfiles."""

from __future__ import annotations

import re

import pytest

from dais.wire.dockerfile import base_images, instructions, remote_sources

TEXT = """# syntax=docker/dockerfile:1
ARG VERSION=12
ARG OTHER
FROM debian:${VERSION} AS build

RUN apt-get update && \\
    # not the end
    apt-get install -y gcc; \\

    true
COPY --from=tools:1 --chown=0:0 /x /y
RUN --mount=type=bind,from=${OTHER:-more}:2,target=/m ls
RUN <<END
FROM inside
END
FROM --platform=linux/amd64 build
COPY --from=build /a /b
COPY --from=0 /a /b
FROM scratch
ADD a.tar /
"""


def test_instructions_are_found_with_their_lines() -> None:
    found = instructions(TEXT)
    assert [(one.line, one.word) for one in found] == [
        (2, "ARG"),
        (3, "ARG"),
        (4, "FROM"),
        (6, "RUN"),
        (11, "COPY"),
        (12, "RUN"),
        (13, "RUN"),
        (16, "FROM"),
        (17, "COPY"),
        (18, "COPY"),
        (19, "FROM"),
        (20, "ADD"),
    ]
    assert found[3].rest == "apt-get update && apt-get install -y gcc; true"


def test_another_escape_is_understood() -> None:
    assert [str(one) for one in instructions("# escape=`\nFROM a\nRUN x `\n y \\\nRUN z\n")] == [
        "FROM a",
        "RUN x y \\",
        "RUN z",
    ]


def test_base_images_are_those_that_are_no_stages() -> None:
    parsed = [one for one in instructions(TEXT) if "OTHER" not in one.rest or one.word == "ARG"]
    assert [(one.line, image) for one, image in base_images(parsed, {})] == [(4, "debian:12"), (11, "tools:1")]
    assert base_images(parsed, {"VERSION": "11"})[0][1] == "debian:11"


@pytest.mark.parametrize(
    "text, about",
    [
        ("FROM $X\n", "line 1"),
        ("FROM a\nARG X\nFROM ${X}b\n", "line 3"),
        ("FROM a\nCOPY --from=$X a b\n", "line 2"),
        ("FROM a\nONBUILD COPY --from=$X a b\n", "line 2"),
        ("RUN x\n", "no FROM"),
        ("ARG A\nFROM ${A:+}\n", "line 2"),
    ],
)
def test_what_cannot_be_known_is_an_error(text: str, about: str) -> None:
    with pytest.raises(ValueError, match=re.escape(about)):
        base_images(instructions(text), {})


def test_what_the_engine_would_fetch_is_found() -> None:
    text = "FROM a\nADD http://x/y /\nADD git@host:x /\nADD a /\nONBUILD ADD HTTPS://x /\nADD $X /\nRUN curl http://x\n"
    assert [one.line for one in remote_sources(instructions(text))] == [2, 3, 5, 6]
