"""Makes attacks on a real engine and tells what came of them: a process of its own, for it may run as another user.

`python -m tests.attacks.drive LEVEL DIRECTORY` makes every attack that the level claims to stop;
`… LEVEL DIRECTORY --mutations` takes protections away first, as the catalogue says. The answer is JSON on stdout.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.attacks.catalogue import ATTACKS, MUTATIONS, Attack, Mutation
from tests.attacks.fortress import Fortress, Outcome

AT_ONCE = 3
"""How many weakened supervisors run at a time."""
ALONE = ("swap", "exhaust")


async def attack_all(level: str, directory: Path) -> dict[str, Outcome]:
    """Every attack that the level claims to stop, most of them at once."""
    async with Fortress(level, directory) as fortress:
        claimed = [attack for attack in ATTACKS if level in attack.stops]
        together = [attack for attack in claimed if attack.name not in ALONE]
        outcomes = await asyncio.gather(*(fortress.suffer(attack) for attack in together))
        found = {attack.name: outcome for attack, outcome in zip(together, outcomes, strict=True)}
        for attack in claimed:
            if attack.name in ALONE:
                found[attack.name] = await fortress.suffer(attack)
        entering = [attack.name for attack in claimed if attack.entering]
        entered = await fortress.enter(entering)
        return found | {f"{name}, entering": outcome for name, outcome in entered.items()}


async def attack_weakened(level: str, directory: Path) -> dict[str, Outcome]:
    """Each mutation of the level, with the attack that was stopped by what it takes away."""
    by_name = {attack.name: attack for attack in ATTACKS}
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, mutation: Mutation, attack: Attack) -> Outcome:
        async with turn, Fortress(level, directory / str(number), mutation.without) as fortress:
            return await fortress.suffer(attack)

    wanted = [mutation for mutation in MUTATIONS if mutation.level == level]
    outcomes = await asyncio.gather(*(one(n, mutation, by_name[mutation.attack]) for n, mutation in enumerate(wanted)))
    return {mutation.name: outcome for mutation, outcome in zip(wanted, outcomes, strict=True)}


def main() -> None:
    """Print what came of it."""
    level, directory = sys.argv[1], Path(sys.argv[2])
    work = attack_weakened if "--mutations" in sys.argv else attack_all
    outcomes = asyncio.run(work(level, directory))
    print(json.dumps({name: outcome.__dict__ for name, outcome in outcomes.items()}))  # noqa: T201


if __name__ == "__main__":
    main()
