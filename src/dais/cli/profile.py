"""`dais profile`: which servers this machine knows, and as whom."""

from __future__ import annotations

import os

import click

from dais.cli.base import LazyGroup, chosen, note
from dais.cli.output import Output, with_output_of
from dais.sdk.profiles import (
    DEFAULT_URL,
    Profile,
    current_name,
    get_profile,
    profiles_path,
    read_file,
    remove_profile,
    use_profile,
)
from dais.wire.answers import Answer

COLUMNS = ("name", "current", "url", "account", "signed_in")


class ShownProfile(Answer, frozen=True, kw_only=True):
    """A profile without its token. `current`: it holds where none is named; `signed_in`: it has a token."""

    name: str
    current: bool
    url: str
    account: str | None
    signed_in: bool
    file: str


@click.group(cls=LazyGroup)
def profile() -> None:
    """List the servers that this machine knows, and choose one.

    `dais login` makes profiles. `--profile NAME` or DAIS_PROFILE chooses one for a command, `dais profile use` for all.

    \b
    Examples:
      dais profile ls
      dais profile use lab
    """


@profile.command()
@with_output_of(ShownProfile)
def ls(output: Output) -> None:
    """List the profiles, without their tokens.

    \b
    Example:
      dais profile ls
    """
    found = read_file()
    if not found.profiles and output.for_people:
        note(f"no profiles in {profiles_path()}; `dais login URL` makes one")
    output.many(ShownProfile, [_shown(name, one, _current()) for name, one in found.profiles.items()], COLUMNS)


@profile.command()
@click.argument("name", metavar="NAME", required=False)
@with_output_of(ShownProfile)
def get(output: Output, name: str | None) -> None:
    """Show a profile; without a name the current one.

    \b
    Examples:
      dais profile get
      dais profile get lab --field url
    """
    name = name or _current()
    output.one(_shown(name, get_profile(name), _current()), COLUMNS)


@profile.command()
@click.argument("name", metavar="NAME")
def use(name: str) -> None:
    """Let a profile hold where none is named.

    \b
    Example:
      dais profile use lab
    """
    path = use_profile(name)
    note(f"profile {name} of {path} holds from now on")
    other = os.environ.get("DAIS_PROFILE")
    if other and other != name:
        note(f"DAIS_PROFILE={other} is set here and wins")


@profile.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def rm(names: tuple[str, ...]) -> None:
    """Forget profiles. Their tokens hold on at the server: `dais logout` ends them.

    \b
    Example:
      dais profile rm lab
    """
    for name in names:
        remove_profile(name)


def _current() -> str:
    return current_name(chosen().profile)


def _shown(name: str, one: Profile, current: str) -> ShownProfile:
    return ShownProfile(
        name=name,
        current=name == current,
        url=one.url or DEFAULT_URL,
        account=one.account,
        signed_in=bool(one.token),
        file=str(profiles_path()),
    )
