"""Who may import whom. The table is the design's; a rule returns one line for each import that breaks it."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import Import, Source, Tree

_ground = {"kit", "wire"}
_identity = _ground | {"identity"}
_data = _identity | {"data"}
_provenance = _data | {"provenance"}
_compute = _provenance | {"compute", "engines.contract"}
_domains = _compute | {"experiments", "serving", "courses"}

ALLOWED: dict[str, set[str]] = {
    "dais": {"sdk"},  # `dais.Client`, looked up when it is asked for
    "kit": set(),
    "wire": set(),
    "migrations": {"kit"},
    "identity": _ground,
    "data": _identity,
    "provenance": _data,
    "compute": _provenance | {"engines.contract"},
    "experiments": _compute,
    "serving": _compute,
    "courses": _compute,
    "proxy": _domains,
    "api": _domains,
    "web": _domains | {"api"},
    "engines.contract": {"wire"},
    "engines.mailbox": {"engines.contract"},
    "engines.nvidia": {"engines.contract"},
    "engines.supervised": {"engines.contract", "engines.mailbox", "wire", "node"},
    "engines.*": {"engines.contract", "engines.mailbox", "engines.nvidia", "engines.supervised", "wire", "node"},
    "node": {"engines.contract", "wire"},
    "sdk": {"wire"},
    "cli": {"sdk", "wire"},
    "acai": {"sdk", "wire"},
    "eai": {"cli", "sdk", "wire"},
}
"""What each part may import beside itself. `app` knows every part, and no other part knows it."""

CLOSED = {"identity", "data", "provenance", "compute", "experiments", "serving", "courses", "api", "proxy", "web"}
"""Packages that others use only by what their `__init__` exports."""

LEAVES: dict[str, set[str]] = {"wire": {"msgspec"}, "engines.contract": {"msgspec"}, "node": set(), "dais": set()}
"""Parts that need nothing at run time but the standard library and what is named here."""

CLIENT = {"dais", "wire", "sdk", "cli", "acai", "eai"}
"""Parts that work with the bare distribution's dependencies."""

NO_DATABASE = {"wire", "node", "sdk", "cli", "acai", "eai", "engines"}
KEEPS_ITS_OWN = {"dais.sdk.digest_cache"}
"""Clients' modules that keep a file of SQLite for themselves."""
DATABASE_MODULES = {"sqlalchemy", "alembic", "psycopg", "sqlite3"}

IMPORT_NAMES = {"pyyaml": "yaml"}
"""Distributions whose module has another name."""


def part_of(module: str) -> str:
    """The part of the table that a module belongs to: `dais.compute.jobs.tables` is in `compute`."""
    parts = module.split(".")
    if len(parts) == 1 or parts[1] == "__main__":
        return "cli" if len(parts) > 1 else "dais"
    return ".".join(parts[1:3]) if parts[1] == "engines" else parts[1]


def directions(tree: Tree) -> list[str]:
    """Imports that point upward or sideways."""
    found = []
    for source, imported, target in _inside(tree):
        ours, theirs = part_of(source.module), part_of(target)
        if ours in ("app", theirs) or theirs == "dais" or _starts_the_server(source, imported, theirs):
            continue
        if ours == "engines" and theirs.startswith("engines."):
            continue  # the package itself lists its engines
        allowed = ALLOWED.get("engines.*" if ours.startswith("engines.") and ours not in ALLOWED else ours)
        if allowed is None:
            found.append(f"{tree.where(source, imported.line)}: the part {ours} is not in the table of imports")
        elif theirs not in allowed:
            found.append(f"{tree.where(source, imported.line)}: {ours} may not import {theirs} ({target})")
    return found


def deep_imports(tree: Tree) -> list[str]:
    """Uses of a package's inside: a submodule, or a name that its `__init__` does not export."""
    found = []
    for source, imported, target in _inside(tree):
        package = f"dais.{part_of(target)}"
        if part_of(target) not in CLOSED or part_of(source.module) in (part_of(target), "app"):
            continue
        name = imported.name if imported.target == package else None
        if imported.target == package and (name is None or name in tree.exports(package)):
            continue
        wanted = target if name is None else f"{package}.{name}"
        found.append(f"{tree.where(source, imported.line)}: {wanted} is not exported by {package}/__init__")
    return found


def leaf_dependencies(tree: Tree) -> list[str]:
    """Run-time imports by which a leaf would need more than it may."""
    found = []
    for source, imported in _all(tree):
        part = part_of(source.module)
        if part not in LEAVES or imported.typing_only or (part == "dais" and imported.lazy):
            continue
        top = imported.target.partition(".")[0]
        foreign = top not in sys.stdlib_module_names and top != "dais" and top not in LEAVES[part]
        inside = top == "dais" and part == "node" and not _resolve(tree, imported).startswith("dais.node")
        if foreign or inside:
            found.append(f"{tree.where(source, imported.line)}: {part} may not need {imported.target}")
    return found


def client_dependencies(tree: Tree) -> list[str]:
    """Imports by which the bare distribution would need more than it installs."""
    installed = bare_dependencies(tree.root / "pyproject.toml")
    found = []
    for source, imported in _all(tree):
        top = imported.target.partition(".")[0]
        if part_of(source.module) not in CLIENT or top == "dais" or imported.typing_only:
            continue
        if top not in sys.stdlib_module_names and top not in installed:
            found.append(f"{tree.where(source, imported.line)}: {top} is not installed with the bare distribution")
    return found


def database_imports(tree: Tree) -> list[str]:
    """Imports of a database by parts that have none."""
    return [
        f"{tree.where(source, imported.line)}: {part_of(source.module)} has no database ({imported.target})"
        for source, imported in _all(tree)
        if part_of(source.module).partition(".")[0] in NO_DATABASE
        and not (source.module in KEEPS_ITS_OWN and imported.target.partition(".")[0] == "sqlite3")
        and imported.target.partition(".")[0] in DATABASE_MODULES
    ]


def bare_dependencies(pyproject: Path) -> set[str]:
    """The modules that the distribution's own dependencies bring."""
    wanted = tomllib.loads(pyproject.read_text())["project"]["dependencies"]
    names = [re.split(r"[^a-z0-9_-]", line.lower(), maxsplit=1)[0] for line in wanted]
    return {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in names}


def _starts_the_server(source: Source, imported: Import, theirs: str) -> bool:
    """The administrator's commands run the platform in their own process: lazily, for the extra may be missing."""
    return theirs == "app" and (imported.lazy or imported.typing_only) and source.module.startswith("dais.cli.admin")


def _all(tree: Tree) -> Iterator[tuple[Source, Import]]:
    for source in tree.sources:
        for imported in source.imports:
            yield source, imported


def _inside(tree: Tree) -> Iterator[tuple[Source, Import, str]]:
    """Every import of one of our own modules, with the module that it means."""
    for source, imported in _all(tree):
        target = _resolve(tree, imported)
        if target == "dais" or target.startswith("dais."):
            yield source, imported, target


def _resolve(tree: Tree, imported: Import) -> str:
    """`from dais.engines import contract` means the module dais.engines.contract."""
    submodule = f"{imported.target}.{imported.name}"
    if submodule in tree.modules:
        return submodule
    if imported.target == "dais" and imported.name not in (None, "__version__"):
        return "dais.sdk"  # the client's names are offered at the top
    return imported.target
