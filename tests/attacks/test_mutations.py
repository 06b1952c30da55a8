"""Without a protection, the attack that it stops succeeds: so each of them is needed, and each test can fail."""

from __future__ import annotations

import os

import pytest

from tests.attacks.catalogue import MUTATIONS, Mutation
from tests.attacks.conftest import Strike

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # what is not stopped there takes what it can get

AS_ROOT = {"strong", "shared"}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.level}-{mutation.name}")
def test_without_it_the_attack_succeeds(mutation: Mutation, strike: Strike) -> None:
    root = mutation.level in AS_ROOT or mutation.as_root
    outcome = strike(mutation.level, root, True)[mutation.name]
    if mutation.needs and not any(f":{mutation.needs}" in name for name in outcome.isolation):
        pytest.skip(f"needs the cgroup controller {mutation.needs} for the user of this level")
    if mutation.attack == "setuid_programs" and os.geteuid() != 0:
        pytest.skip("needs root, to make a setuid program")
    assert outcome.escaped, outcome.said
