"""`dais rule` and `dais policy`: what somebody may do, who may do something, and what a policy would change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from dais.cli.base import LazyGroup, connected, leave, note
from dais.cli.identity.names import role_named
from dais.cli.output import Output, print_text, with_output_of
from dais.wire.rules import Action, Allowed, Explanation, Link, Rule, Simulation

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.sdk.policies import Subject

DENIED = 1
"""The exit code of `allowed` when it is not."""


def of_somebody(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name whose rules are meant."""
    for name, what in (("role", "a role"), ("team", "a team"), ("user", "a user")):
        option = click.option(f"--{name}", metavar=name.upper(), help=f"Of {what}, for those who may see its policies.")
        function = option(function)
    return function


@click.group(cls=LazyGroup)
def rule() -> None:
    """Tell what you may do, who may do something, and why.

    \b
    Examples:
      dais rule ls
      dais rule allowed "data:set@$(dais data get --field urn DATA)"
    """


@rule.command()
@click.option("--through", "with_way", is_flag=True, help="Show through which team and role each rule is held.")
@of_somebody
@with_output_of(Rule)
@connected
def ls(client: Client, output: Output, with_way: bool, user: str | None, team: str | None, role: str | None) -> None:
    """List your rules: actions, and the URN expressions that they are allowed on.

    `--json` tells the policy of each and through what it is held, too.

    \b
    Examples:
      dais rule ls
      dais rule ls --through
      dais rule ls --user joe --json
    """
    found = client.rules.held(*_subject(client, user, team, role))
    if with_way and output.for_people:
        rows = [[one.action, one.expression, _way(one.through)] for one in found.items]
        print_text(("action", "expression", "through"), rows, header=output.header)
    else:
        columns = ("action", "expression", "through.name") if with_way else ("action", "expression")
        output.many(Rule, found.items, columns)
    if found.narrowed is not None:
        note(f"the token that you use is narrowed to: {' '.join(found.narrowed)}")


@rule.command()
@click.argument("question", metavar="ACTION@URN")
@of_somebody
@with_output_of(Explanation)
@connected
def allowed(
    client: Client, output: Output, question: str, user: str | None, team: str | None, role: str | None
) -> None:
    """Tell whether you may do something, and by which statements. The exit code is 0 for yes, 1 for no.

    \b
    Examples:
      dais rule allowed "data:set@$(dais data get --field urn DATA)"
      dais rule allowed job:new@acme:account:acme.lab --user joe
    """
    found = client.rules.allowed(question, *_subject(client, user, team, role))
    if not output.for_people:
        output.one(found, ("allowed", "action", "urn"))
    elif found.allowed:
        click.echo(f"yes: {found.action} on {found.urn}")
        for one in found.rules:
            click.echo(f"  {one.action}@{one.expression}, through {_way(one.through)}")
    elif found.narrowed and found.rules:
        click.echo("no: your rules allow it, but the token that you use is narrowed to less")
    else:
        click.echo("no: no statement allows it; `dais rule ls` lists those that there are")
    if not found.allowed:
        leave(DENIED)


@rule.command("who-is-allowed")
@click.argument("question", metavar="ACTION@URN")
@with_output_of(Allowed)
@connected
def who_is_allowed(client: Client, output: Output, question: str) -> None:
    """List who may do something, and by which statements, of what. For those who may see the policies there.

    Of a role that is listed there are keys, which act as the role alone. The exit code is 1 when there is nobody.

    \b
    Example:
      dais rule who-is-allowed "data:set@$(dais data get --field urn DATA)"
    """
    found = client.rules.who_is_allowed(question)
    output.many(Allowed, found.items, ("id", "name", "type", "through.name", "statements"))
    if found.total > len(found.items):
        note(f"these are {len(found.items):,} of {found.total:,}")
    if not found.items:
        leave(DENIED)


@rule.command()
@with_output_of(Action)
@connected
def actions(client: Client, output: Output) -> None:
    """List every action, and what it means.

    \b
    Example:
      dais rule actions
    """
    output.many(Action, client.rules.actions(), ("action", "meaning"))


@click.group(cls=LazyGroup)
def policy() -> None:
    """Tell what a policy would change, before it is made.

    Policies are made by `dais user policy new`, `dais team policy new` and `dais role policy new`.

    \b
    Example:
      dais policy simulate --user joe 'job:get@acme:*'
    """


@policy.command("simulate")
@click.argument("statements", metavar="STATEMENT...", nargs=-1, required=True)
@click.option("--user", metavar="USER", help="As if they were attached to this user.")
@click.option("--team", metavar="TEAM", help="To this team.")
@click.option("--role", metavar="ROLE", help="To this role.")
@with_output_of(Simulation)
@connected
def simulate_(
    client: Client, output: Output, statements: tuple[str, ...], user: str | None, team: str | None, role: str | None
) -> None:
    """Tell what statements would change if they were attached to a user, team or role. Nothing is changed.

    Each pair of an action and a URN is new, held already, or refused, because you may grant only what you may do.
    The exit code is 1 when something is refused.

    \b
    Examples:
      dais policy simulate --user joe 'job:get@acme:*'
      dais policy simulate --role acme.lab.watcher 'job:get+job:logs@acme:account:acme.lab:job:*' --json
    """
    kind, subject = _subject(client, user, team, role)
    if kind is None or subject is None:
        raise click.UsageError("say to whom: --user, --team or --role")
    found = client.rules.simulate(kind, subject, statements)
    if output.for_people:
        _tell(found)
    else:
        output.one(found, ("users",))
    if any(pair.outcome == "refused" for pair in found.pairs):
        leave(DENIED)


def _tell(found: Simulation) -> None:
    rows = [[one.outcome, one.action, one.expression, _way(one.through)] for one in found.pairs]
    print_text(("outcome", "action", "expression", "through"), rows, header=True)
    for why in dict.fromkeys(one.why for one in found.pairs if one.why):
        note(why)
    more = ", …" if found.users > len(found.names) else ""
    click.echo(f"it concerns {found.users:,} users{': ' if found.names else ''}{', '.join(found.names)}{more}")
    for thing in found.reachable:
        click.echo(f"  now possible with the {thing.type} {thing.name}, for example: {', '.join(thing.actions[:8])}")


def _subject(
    client: Client, user: str | None, team: str | None, role: str | None
) -> tuple[Subject, str] | tuple[None, None]:
    given: list[tuple[Subject, str]] = []
    if user is not None:
        given.append(("user", user))
    if team is not None:
        given.append(("team", team))
    if role is not None:
        given.append(("role", role_named(client, None, role)))
    if len(given) > 1:
        raise click.UsageError("--user, --team and --role exclude each other")
    return given[0] if given else (None, None)


def _way(links: Sequence[Link]) -> str:
    return " > ".join(f"{one.type} {one.name}" for one in links) or "-"
