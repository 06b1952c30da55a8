"""Transactions and job states are written where the design says, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture import writes
from tests.architecture.sources import Tree, project, read_tree

Rule = Callable[[Tree], list[str]]

RULES: list[Rule] = [writes.commits, writes.state_writes, writes.values_per_call]

BAD = {
    "kit/database.py": "def close(connection):\n    connection.commit()\n",
    "data/commands.py": (
        "def push(connection, update, folders, row):\n"
        "    connection.commit()\n"
        "    connection.run(update(folders).values(size=1))\n"
        "    return list(row.values())\n"
    ),
    "compute/jobs/lifecycle.py": "def step(job, replace):\n    return replace(job, state='RUNNING')\n",
    "compute/jobs/commands.py": (
        "KILL = update(jobs).where(jobs.c.id == 1).values(state='CANCELLED')\n"
        "LOSE = tables.runs.update().values({tables.runs.c.state: 'LOST'})\n"
        "NEXT = update(jobs).values({'state': 'PENDING'})\n"
        "NAME = update(jobs).values(name='n')\n"
        "SEAL = update(environments).values(state='READY')\n"
        "NEW = insert(jobs).values(state='PENDING')\n"
        "def kill(job, replace, text):\n"
        "    job.state = 'CANCELLED'\n"
        "    later = replace(job, state='CANCELLED')\n"
        "    again = job._replace(state='CANCELLED')\n"
        "    return text.replace('a', 'b'), later, again\n"
        "class Breaker:\n"
        "    def open(self):\n"
        "        self.state = 'open'\n"
    ),
    "node/supervisor.py": "def end(attempt):\n    attempt.state = 'ended'\n",
}

EXPECTED: dict[Rule, list[str]] = {
    writes.commits: ["data/commands.py:2"],
    writes.state_writes: [f"compute/jobs/commands.py:{line}" for line in (1, 2, 3, 8, 9, 10)],
    writes.values_per_call: ["data/commands.py:3"],
}


@pytest.fixture
def bad_tree(tmp_path: Path) -> Tree:
    """A small project that writes in every wrong way, and in the ways that only look alike."""
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
    found = [line.removeprefix("src/dais/").partition(": ")[0] for line in rule(bad_tree)]
    assert sorted(found, key=lambda place: int(place.rpartition(":")[2])) == EXPECTED[rule]
