"""Reading Dockerfiles: which instruction stands on which line, and which images a build begins from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

_escape = re.compile(r"#\s*escape\s*=\s*(\\|`)\s*", re.IGNORECASE)
_directive = re.compile(r"#\s*\w+\s*=.*")
_variable = re.compile(r"\$(?:\{(\w+)(?:(:?[-+])([^}]*))?\}|(\w+))")
_here = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")
_remote = re.compile(r"(https?|git|ssh)://|git@", re.IGNORECASE)


class Instruction(msgspec.Struct, frozen=True):
    """One instruction. `line` counts from 1; `word` is in upper case; `rest` is joined to one line."""

    line: int
    word: str
    rest: str

    def __str__(self) -> str:
        return f"{self.word} {self.rest}".strip()


def instructions(text: str) -> list[Instruction]:
    """The instructions in order, comments and empty lines left out, continued lines joined."""
    escape, found = _escape_of(text), []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        first, joined = at, ""
        if not lines[at].strip() or lines[at].lstrip().startswith("#"):
            at += 1
            continue
        while at < len(lines):
            line = lines[at]
            at += 1
            if joined and (not line.strip() or line.lstrip().startswith("#")):
                continue  # comments and empty lines inside a continued instruction do not end it
            if line.rstrip().endswith(escape):
                joined += line.rstrip()[: -len(escape)].strip() + " "
                continue
            joined += line.strip()
            break
        word, _, rest = joined.strip().partition(" ")
        if word.upper() in ("RUN", "COPY", "ADD"):
            for end in _here.findall(rest):
                while at < len(lines) and lines[at].strip() != end:
                    at += 1
                at += 1
        found.append(Instruction(first + 1, word.upper(), rest.strip()))
    return found


def base_images(parsed: Sequence[Instruction], arguments: Mapping[str, str]) -> list[tuple[Instruction, str]]:
    """What is taken from other images, as written and with arguments filled in: FROM, `COPY --from`, `RUN --mount`.

    Stages of the file itself and `scratch` are left out. Raises ValueError where the name cannot be known.
    """
    values: dict[str, str] = {}
    stages: set[str] = set()
    found: list[tuple[Instruction, str]] = []
    begun = 0
    for one in parsed:
        if one.word == "ARG" and not begun:
            for word in one.rest.split():
                name, _, default = word.partition("=")
                values[name] = arguments.get(name, default.strip("\"'"))
        elif one.word == "FROM":
            words = [word for word in one.rest.split() if not word.startswith("--")]
            image = _filled(words[0], values, one) if words else ""
            if not image:
                raise ValueError(f"line {one.line}: {one} names no image")
            if image != "scratch" and image.lower() not in stages:
                found.append((one, image))
            begun += 1
            if len(words) == 3 and words[1].lower() == "as":
                stages.add(words[2].lower())
        else:
            for image in _sources(one):
                if "$" in image:
                    raise ValueError(f"line {one.line}: {one}: an image to copy from must be written out")
                if not image.isdigit() and image.lower() not in stages and image != "scratch":
                    found.append((one, image))
    if not begun:
        raise ValueError("the Dockerfile has no FROM: begin with the image to build from")
    return found


def remote_sources(parsed: Sequence[Instruction]) -> list[Instruction]:
    """ADD of an address or a repository, which the engine itself would fetch."""
    return [
        one
        for one in parsed
        if (one.word == "ADD" or (one.word == "ONBUILD" and one.rest.upper().startswith("ADD")))
        and (_remote.search(one.rest) or "$" in one.rest)
    ]


def _sources(one: Instruction) -> list[str]:
    word, rest = one.word, one.rest
    if word == "ONBUILD":
        word, _, rest = rest.partition(" ")
        word = word.upper()
    if word not in ("COPY", "ADD", "RUN"):
        return []
    found = []
    for option in rest.split():
        if not option.startswith("--"):
            break
        if option.startswith("--from="):
            found.append(option.removeprefix("--from="))
        elif option.startswith("--mount="):
            pairs = (pair.partition("=") for pair in option.removeprefix("--mount=").split(","))
            found += [value for name, _, value in pairs if name == "from"]
    return found


def _filled(text: str, values: Mapping[str, str], one: Instruction) -> str:
    def fill(match: re.Match[str]) -> str:
        value = values.get(match[1] or match[4])
        given = value is not None and (value != "" or not (match[2] or "").startswith(":"))
        if match[2] and match[2].endswith("-"):
            return value if given and value is not None else match[3]
        if match[2] and match[2].endswith("+"):
            return match[3] if given else ""
        if value is None:
            raise ValueError(
                f"line {one.line}: {one}: give {match[1] or match[4]} a value by ARG before the first FROM"
            )
        return value

    filled = _variable.sub(fill, text).strip("\"'")
    if "$" in filled:
        raise ValueError(f"line {one.line}: {one}: the name of the image cannot be known before the build")
    return filled


def _escape_of(text: str) -> str:
    for line in text.splitlines():
        if match := _escape.fullmatch(line.strip()):
            return match[1]
        if not _directive.fullmatch(line.strip()):
            break
    return "\\"
