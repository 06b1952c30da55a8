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


_SENTENCES = {
    "get": "See {0}, and find it in lists",
    "list": "Find {0} in lists",
    "new": "Make {0}",
    "set": "Change {0}",
    "rm": "Remove {0}, or end it",
}
_THINGS = {
    "audit": "an entry of the audit log",
    "data": "a folder",
    "fileset": "a file set",
    "event": "an event",
    "installation": "the installation's own settings",
    "group": "a resource group",
    "policy": "a policy, and who may do what by it",
    "token": "a token or a pair of keys",
    "session": "a session of a browser",
    "job": "a job",
}
_MEANINGS = {
    "job:exec": "Run commands, terminals and notebooks inside a job",
    "job:kill": "Stop a job",
    "job:logs": "Read what a job prints",
    "data:mount": "Mount a folder in a job",
    "role:set": "Change a role: its name, members, policies and keys",
    "team:set": "Change a team: its name and members",
    "user:rm": "Let a user in no more, or again",
}


def meaning(action: str) -> str:
    """What an action allows, in words."""
    kind, _, verb = check_action(action).partition(":")
    if action in _MEANINGS:
        return _MEANINGS[action]
    thing = _THINGS.get(kind) or f"{'an' if kind[0] in 'aeiou' and kind != 'user' else 'a'} {kind}"
    return _SENTENCES[verb].format(thing)
