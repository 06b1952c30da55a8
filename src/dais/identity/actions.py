"""Every action there is. A permission is asked for by one of these names, and nothing else parses."""

from __future__ import annotations

TYPES = (
    "organization",
    "account",
    "user",
    "team",
    "role",
    "policy",
    "token",
    "session",
    "invitation",
    "audit",
    "data",
    "file",
    "fileset",
    "image",
    "environment",
    "job",
    "secret",
    "experiment",
    "service",
    "course",
    "submission",
    "node",
    "group",
    "event",
    "installation",
)
"""Every type of thing that has an owner."""

VERBS = ("get", "list", "new", "set", "rm")
"""What can be done with a thing of any type."""

SPECIAL = ("job:exec", "job:kill", "job:logs", "data:mount")
"""What can be done with some types only."""

ACTIONS = frozenset({f"{kind}:{verb}" for kind in TYPES for verb in VERBS} | set(SPECIAL))

_READS = frozenset({"get", "list", "logs"})


def check_action(action: str) -> str:
    """The action itself. Raises ValueError when there is none of this name: the caller is wrong, not the user."""
    if action not in ACTIONS:
        raise ValueError(f"there is no action {action!r}; dais.identity.actions lists them")
    return action


def only_reads(action: str) -> bool:
    """Whether the action changes nothing: plain reads are not audited."""
    return action.partition(":")[2] in _READS


def asked_for(action: str) -> tuple[str, ...]:
    """The actions of which one suffices: what one may get, one finds in lists, too."""
    kind, _, verb = action.partition(":")
    return (action, f"{kind}:get") if verb == "list" else (action,)
