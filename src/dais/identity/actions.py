"""Every action there is. A permission is asked for by one of these names, and nothing else parses."""

from __future__ import annotations

TYPES = (
    "organization",
    "account",
    "user",
    "token",
    "data",
    "image",
    "environment",
    "job",
    "secret",
    "node",
    "group",
    "event",
)
"""Every type of thing that has an owner."""

VERBS = ("get", "list", "new", "set", "rm")
"""What can be done with a thing of any type."""

SPECIAL = ("job:exec", "job:kill", "job:logs", "data:mount")
"""What can be done with some types only."""

ACTIONS = frozenset({f"{kind}:{verb}" for kind in TYPES for verb in VERBS} | set(SPECIAL))


def check_action(action: str) -> str:
    """The action itself. Raises ValueError when there is none of this name: the caller is wrong, not the user."""
    if action not in ACTIONS:
        raise ValueError(f"there is no action {action!r}; dais.identity.actions lists them")
    return action
