"""Imports point downward, packages are used by what they export, and small parts stay small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture import imports
from tests.architecture.sources import Tree, project, read_tree

Rule = Callable[[Tree], list[str]]

RULES: list[Rule] = [
    imports.directions,
    imports.deep_imports,
    imports.leaf_dependencies,
    imports.client_dependencies,
    imports.database_imports,
]

BAD = {
    "identity/__init__.py": "from dais.data import Folder\n",
    "data/__init__.py": "from dais.data.types import Folder\nfrom dais.identity import User\nimport dais.app\n",
    "data/types.py": "class Folder: ...\n",
    "data/tables.py": "from dais.kit.errors import Invalid\n",
    "compute/__init__.py": "from dais.data import Folder, tables\nfrom dais.data.types import Folder as F\n",
    "compute/loops.py": "from dais.engines.local import Local\nfrom dais.engines import contract\n",
    "serving/__init__.py": "from dais.courses import Ranking\n",
    "courses/__init__.py": "",
    "engines/contract.py": "import msgspec\nimport anyio\nfrom dais.kit.errors import Invalid\n",
    "engines/local/__init__.py": "import sqlite3\nfrom dais.engines import fake\nfrom dais.node import logs\n",
    "engines/fake/__init__.py": "",
    "node/supervisor.py": "import os\nimport msgspec\ndef late():\n    from dais.wire import spec\n",
    "node/logs.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from dais.wire import spec\n",
    "wire/spec.py": "import yaml\n",
    "sdk/__init__.py": "from ..wire import spec\nimport starlette\nimport httpx2\n",
    "cli/jobs.py": "from dais import Client, __version__\ndef late():\n    from dais import app\n",
    "cli/admin.py": "def late():\n    from dais.app import serve\n",
    "app.py": "from dais.data.tables import folders\nfrom dais import api, cli, node\n",
    "misc/__init__.py": "from dais.kit import ids\n",
    "kit/errors.py": "",
}

EXPECTED: dict[Rule, set[str]] = {
    imports.directions: {
        "identity/__init__.py:1: identity may not import data (dais.data)",
        "data/__init__.py:3: data may not import app (dais.app)",
        "compute/loops.py:1: compute may not import engines.local (dais.engines.local)",
        "serving/__init__.py:1: serving may not import courses (dais.courses)",
        "engines/contract.py:3: engines.contract may not import kit (dais.kit.errors)",
        "engines/local/__init__.py:2: engines.local may not import engines.fake (dais.engines.fake)",
        "cli/jobs.py:3: cli may not import app (dais.app)",
        "misc/__init__.py:1: the part misc is not in the table of imports",
    },
    imports.deep_imports: {
        "compute/__init__.py:1: dais.data.tables is not exported by dais.data/__init__",
        "compute/__init__.py:2: dais.data.types is not exported by dais.data/__init__",
        "data/__init__.py:2: dais.identity.User is not exported by dais.identity/__init__",
        "serving/__init__.py:1: dais.courses.Ranking is not exported by dais.courses/__init__",
    },
    imports.leaf_dependencies: {
        "engines/contract.py:2: engines.contract may not need anyio",
        "node/supervisor.py:2: node may not need msgspec",
        "node/supervisor.py:4: node may not need dais.wire",
        "wire/spec.py:1: wire may not need yaml",
    },
    imports.client_dependencies: {
        "sdk/__init__.py:2: starlette is not installed with the bare distribution",
    },
    imports.database_imports: {
        "engines/local/__init__.py:1: engines.local has no database (sqlite3)",
    },
}


@pytest.fixture
def bad_tree(tmp_path: Path) -> Tree:
    """A small project with one import of every wrong kind."""
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["httpx2>=2", "msgspec", "pyyaml>=6"]\n')
    for name, text in BAD.items():
        path = tmp_path / "src" / "dais" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read_tree(tmp_path)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps_the_rule(rule: Rule) -> None:
    found = rule(project())
    assert not found, "\n".join(found)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_finds_what_is_wrong(rule: Rule, bad_tree: Tree) -> None:
    assert {line.removeprefix("src/dais/") for line in rule(bad_tree)} == EXPECTED[rule]


def test_the_table_knows_every_part_there_is() -> None:
    parts = {imports.part_of(source.module) for source in project().sources}
    engines = {part for part in parts if part.startswith("engines.") or part == "engines"}
    assert parts - engines - {"app"} <= set(imports.ALLOWED)
