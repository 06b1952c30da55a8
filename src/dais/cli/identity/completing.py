"""Names that the shell completes: what the server lists to whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dais.sdk.client import Client

Complete = Callable[[click.Context, click.Parameter, str], list[str]]

MOST = 500
"""Names that are looked through."""


def _accounts(client: Client) -> Iterator[str]:
    return (one.full_name for one in client.accounts.list(limit=MOST))


def _organizations(client: Client) -> Iterator[str]:
    return (one.name for one in client.organizations.list(limit=MOST))


def _roles(client: Client) -> Iterator[str]:
    return (one.full_name for one in client.roles.list(limit=MOST))


def _teams(client: Client) -> Iterator[str]:
    return (one.full_name for one in client.teams.list(limit=MOST))


def _users(client: Client) -> Iterator[str]:
    return (f"{one.organization}.{one.name}" for one in client.users.list(limit=MOST))


def _completing(names: Callable[[Client], Iterator[str]]) -> Complete:
    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
        from dais.sdk.client import Client
        from dais.sdk.errors import DaisError

        try:
            with Client(profile=_given(context, "profile"), patience=0) as client:
                return [name for name in names(client) if name.startswith(begun)]
        except DaisError:  # while one types there is no place to tell it; the command itself will
            return []

    return complete


def _given(context: click.Context | None, option: str) -> Any:
    """An option that stands on the line already, of this command or before it."""
    while context is not None:
        if context.params.get(option):
            return context.params[option]
        context = context.parent
    return None


account_names = _completing(_accounts)
organization_names = _completing(_organizations)
role_names = _completing(_roles)
team_names = _completing(_teams)
user_names = _completing(_users)

NAMES: dict[str, Complete] = {
    "account": account_names,
    "organization": organization_names,
    "role": role_names,
    "team": team_names,
    "user": user_names,
}
"""By the type of the thing."""
