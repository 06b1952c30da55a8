"""The pinned requirements are complete, and say what to install but not from where."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable

import pytest

from tests.architecture.sources import ROOT

PIN = re.compile(r"([a-z0-9][a-z0-9-]*)==[^\s]+ (?:; python_version < \"[\d.]+\" )?\\")
RUNS = ["server", "postgres", "s3"]
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def pins(lines: Iterable[str]) -> tuple[set[str], list[str]]:
    """The distributions that are pinned, and the lines that are neither a pin, a hash nor a comment."""
    names, wrong = set(), []
    for line in lines:
        pin = PIN.fullmatch(line)
        if pin:
            names.add(pin[1])
        elif not HASH.fullmatch(line) and line.strip() and not line.startswith("# "):
            wrong.append(line)
    return names, wrong


def wanted(*groups: str) -> set[str]:
    """The distributions that pyproject.toml asks for: its own, and those of the extras and groups named."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    platform = tomllib.loads((ROOT / "server" / "pyproject.toml").read_text())
    extras = {**project["project"]["optional-dependencies"], "server": platform["project"]["dependencies"]}
    lines = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for group in groups:
        lines += {**extras, **project["dependency-groups"]}[group]
    return {re.split(r"[^a-z0-9._-]", line.lower(), maxsplit=1)[0].replace(".", "-") for line in lines}


@pytest.mark.parametrize("name,groups", [("server", RUNS), ("dev", [*RUNS, "dev"]), ("bench", [*RUNS, "dev", "bench"])])
def test_everything_wanted_is_pinned_by_hash(name: str, groups: list[str]) -> None:
    names, wrong = pins((ROOT / "requirements" / f"{name}.txt").read_text().splitlines())
    assert wrong == []
    assert wanted(*groups) - names == set()


def test_all_lists_pin_the_same_versions() -> None:
    def versions(name: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (ROOT / "requirements" / name).read_text(), re.MULTILINE))

    assert versions("server.txt") <= versions("dev.txt") <= versions("bench.txt")


def test_the_check_finds_what_is_wrong() -> None:
    address = "--index-url " + "https" + "://packages.example/simple"
    good = ["# a comment", "msgspec==0.20.0 \\", "    --hash=sha256:" + "0" * 64]
    bad = [address, "rich==15.0.0", "click>=8 \\", "--find-links ../wheels", "./local"]
    assert pins([*good, *bad]) == ({"msgspec"}, bad)
