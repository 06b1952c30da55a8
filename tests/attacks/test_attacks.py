"""Each attack is made by a real job on a real engine, at every level that claims to stop it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.catalogue import ATTACKS, LEVELS, MUTATIONS, Attack, table
from tests.attacks.conftest import Strike
from tests.attacks.weaken import PROTECTIONS

RUNS = {
    "strong": ("strong", True),
    "shared": ("shared", True),
    "sandbox": ("sandbox", False),
    "process": ("process", False),
    "process as root": ("process", True),
}
"""Level and whether Dais runs as root."""

CLAIMS = [
    pytest.param(attack, run, id=f"{attack.name}-{run}".replace(" ", "-"))
    for run, (level, _) in RUNS.items()
    for attack in ATTACKS
    if level in attack.stops
]


@pytest.mark.parametrize("attack, run", CLAIMS)
def test_it_is_stopped(attack: Attack, run: str, strike: Strike) -> None:
    level, root = RUNS[run]
    outcomes = strike(level, root, False)
    outcome = outcomes[attack.name]
    if attack.needs and not any(f":{attack.needs}" in name for name in outcome.isolation):
        pytest.skip(f"needs the cgroup controller {attack.needs} for the user of this level")
    assert outcome.escaped is None
    assert outcome.ran, outcome.said
    if attack.entering:
        entered = outcomes[f"{attack.name}, entering"]
        assert entered.escaped is None, "a command in a running job gets further than the job"
        assert entered.ran, entered.said


def test_the_documentation_shows_what_is_tested() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "isolation.md").read_text()
    assert "\n".join(table()) in text, "put the output of `python -m tests.attacks.catalogue` into docs/isolation.md"


def test_there_are_attacks_on_every_level_and_each_protection_has_its_attack() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 30
    assert all(any(level in attack.stops for attack in ATTACKS) for level in LEVELS)
    assert {name for mutation in MUTATIONS for name in mutation.without} == set(PROTECTIONS)
    assert {mutation.attack for mutation in MUTATIONS} <= {attack.name for attack in ATTACKS}
