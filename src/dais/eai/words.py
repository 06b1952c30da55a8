"""Saying things as that system said them: its names of commands, and the texts that its clients look for."""

from __future__ import annotations

import copy
import re

import click

from dais.sdk.errors import DaisError

TAKEN = re.compile(r"already-exists|[a-z]+-exists|[a-z]+-taken")
"""Codes of a name that is taken."""

RENAMED = {"folder": "data"}
"""Commands that are called otherwise there."""

SHARED = ("account", "data", "folder", "job", "login", "organization", "role", "rule", "team", "user")
"""Commands that both programs have."""

_ours = re.compile(rf"\bdais ({'|'.join(SHARED)})\b")


def in_their_words(text: str) -> str:
    """A text with `eai job …` for `dais job …`."""
    return _ours.sub(lambda found: f"eai {RENAMED.get(found[1], found[1])}", text)


def retold(error: DaisError) -> DaisError:
    """The error with what its clients look for in messages: `http: 404`, `already exists`."""
    if error.status is not None:
        taken = "resource with this name already exists: " if TAKEN.fullmatch(error.code) else ""
        error.message = f"http: {error.status}: {taken}{error.message}"
    error.message = in_their_words(error.message)
    error.hint = in_their_words(error.hint) if error.hint else None
    return error


def adopted(command: click.Command) -> click.Command:
    """A command of `dais` as one of `eai`: the same, told in its words."""
    ours = copy.copy(command)
    for name in ("help", "epilog", "short_help"):
        text = getattr(command, name)
        setattr(ours, name, in_their_words(text) if text else text)
    if isinstance(command, click.Group) and isinstance(ours, click.Group):
        ours.commands = {name: adopted(one) for name, one in command.commands.items()}
    return ours
