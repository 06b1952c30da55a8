"""`dais login` and `dais logout`: this machine's token, got from a browser, or pasted."""

from __future__ import annotations

import os
import socket
import sys
from urllib.parse import urljoin

import click

from dais.cli.base import PATIENCE, chosen, note
from dais.cli.open import has_browser
from dais.cli.output import Output, with_output_of
from dais.cli.problems import harmless
from dais.sdk.errors import Invalid, Unauthenticated
from dais.sdk.profiles import (
    Profile,
    current_name,
    get_profile,
    login_target,
    profiles_path,
    read_profiles,
    write_profile,
)
from dais.wire.answers import Answer, DeviceLogin, DeviceToken, Me

COLUMNS = ("profile", "url", "user", "organization", "account", "expires_at")


class SignedIn(Answer, frozen=True, kw_only=True):
    """As whom this machine is signed in now, and the profile that keeps the token."""

    profile: str
    file: str
    url: str
    user: str
    organization: str
    account: str
    expires_at: str | None = None


@click.command()
@click.argument("words", metavar="[token] [URL]", nargs=-1)
@click.option("--profile", metavar="NAME", help="Keep the token in this profile (DAIS_PROFILE).")
@click.option("--account", metavar="ACCOUNT", help="Let the profile act in this account, as org.lab.project.")
@click.option("--no-browser", is_flag=True, help="Only print the address, and open nothing.")
@with_output_of(SignedIn)
def login(output: Output, words: tuple[str, ...], profile: str | None, account: str | None, no_browser: bool) -> None:
    """Sign this machine in.

    Prints an address and a code. Open the address in a browser, on this machine or any other, sign in there, compare
    the code and confirm. The token goes into the profile file, which only you can read; with it you get
    a certificate for SSH into jobs, which holds for some hours and is renewed by `dais ssh`.

    `dais login token` keeps a token that you have already: it is asked for without showing it, or read from stdin.

    \b
    Examples:
      dais login https://dais.example.org
      dais login --profile lab https://lab.example.org
      pass show dais | dais login token https://dais.example.org
    """
    paste = words[:1] == ("token",)
    rest = words[1:] if paste else words
    if len(rest) > 1:
        raise click.UsageError(f"{rest[1]!r}: one address is enough; `dais login [token] [URL]`")
    given = chosen()
    name, url = login_target(rest[0] if rest else None, profile or given.profile)
    account = account or given.account
    done = _pasted(name, url, account) if paste else _confirmed(name, url, account, not no_browser)
    if output.for_people:
        until = f", and holds until {done.expires_at}" if done.expires_at else ""
        click.echo(f"signed in to {done.url} as {done.user} of {done.organization}, in account {done.account}")
        note(f"the token is in {done.file}, profile {done.profile}{until}")
    else:
        output.one(done, COLUMNS)
    if _certified(done) and output.for_people:
        note("a certificate for SSH is there, too: `dais ssh JOB`, and `dais ssh-config` for editors")
    _warn_of_environment()


@click.command()
@click.option("--profile", metavar="NAME", help="Sign this profile out (DAIS_PROFILE).")
@click.option("--all", "everywhere", is_flag=True, help="Sign every profile of the file out.")
@click.option("--forget", is_flag=True, help="Forget the token also where the server cannot be told.")
def logout(profile: str | None, everywhere: bool, forget: bool) -> None:
    """Sign this machine out: the token ends at the server, and is forgotten here.

    \b
    Examples:
      dais logout
      dais logout --profile lab
      dais logout --all
    """
    from dais.sdk.errors import Unavailable

    names = list(read_profiles()) if everywhere else [current_name(profile or chosen().profile)]
    for name in names:
        one = get_profile(name)
        if one.token is None:
            note(f"profile {name} holds no token: nothing to do")
            continue
        try:
            said = _ended(one)
        except Unavailable as error:
            if not forget:
                error.hint = "the token still holds there; try again later, or forget it here alone with --forget"
                raise
            said = f"forgotten here, and its token still holds there: {error.message}"
        write_profile(name, Profile(one.url, None, one.account))
        note(f"profile {name} is {harmless(said)}")
    _warn_of_environment()


def _ended(profile: Profile) -> str:
    """End a profile's token at its server; what is to say."""
    from dais.sdk.client import Client

    with Client(profile.url or login_target()[1], profile.token, patience=PATIENCE) as client:
        try:
            client.login.end()
        except Unauthenticated:
            return "signed out; its token had ended already"
    return "signed out"


def _confirmed(name: str, url: str, account: str | None, may_open: bool) -> SignedIn:
    """Through a browser."""
    from dais.sdk.client import Client

    with Client(url, "", patience=PATIENCE, on_wait=note) as client:
        begun = client.login.begin(socket.gethostname())
        _show(url, begun, may_open)
        token: DeviceToken = client.login.wait(begun)
    kept = _keep(name, url, token.access_token, account or token.account)
    return SignedIn(
        profile=name,
        file=kept,
        url=url,
        user=token.user,
        organization=token.organization,
        account=account or token.account,
        expires_at=token.expires_at,
    )


def _show(url: str, begun: DeviceLogin, may_open: bool) -> None:
    base = f"{url}/"
    whole = harmless(urljoin(base, begun.verification_uri_complete.removeprefix("/")))
    click.echo("Open this address in a browser, here or on another machine:\n", err=True)
    click.echo(f"    {click.style(whole, bold=True)}\n", err=True)
    code = click.style(harmless(begun.user_code), bold=True)
    click.echo(f"and confirm there that it is you, if it shows the code  {code}", err=True)
    if may_open and has_browser() and sys.stderr.isatty():
        import webbrowser

        if webbrowser.open(whole):
            note("opened in the browser")
    note(f"waiting for you, {begun.expires_in // 60} minutes at most; Ctrl-C gives up")


def _pasted(name: str, url: str, account: str | None) -> SignedIn:
    """A token that somebody has already."""
    from dais.sdk.client import Client

    if sys.stdin.isatty():
        secret: str = click.prompt(f"Token for {url}", hide_input=True, err=True)
    else:
        secret = sys.stdin.readline()
    secret = secret.strip()
    if not secret.isascii() or not secret.isprintable() or " " in secret or len(secret) < 20:
        raise Invalid(
            "what was given is no token: one is a line like dais_user_… or ACCESS:SECRET",
            code="bad-token",
            hint="paste all of it, or let a browser confirm: `dais login`",
        )
    with Client(url, secret, patience=PATIENCE, on_wait=note) as client:
        try:
            me: Me = client.me()
        except Unauthenticated as error:
            raise Invalid(
                f"{url} refuses the token that was given: {error.message}", code=error.code, hint="nothing was kept"
            ) from error
    kept = _keep(name, url, secret, account or me.account)
    return SignedIn(
        profile=name, file=kept, url=url, user=me.name, organization=me.organization, account=account or me.account
    )


def _certified(done: SignedIn) -> bool:
    """Have a certificate for SSH made, so that editors are let in at once.

    Where that cannot be now (no OpenSSH here, no gateway there), `dais ssh` says why when it is asked for.
    """
    from dais.cli.ssh.credentials import certify
    from dais.sdk.client import Client
    from dais.sdk.errors import DaisError

    try:
        with Client(done.url, get_profile(done.profile).token, patience=0) as client:
            certify(client)
    except DaisError:
        return False
    return True


def _keep(name: str, url: str, secret: str, account: str) -> str:
    return str(write_profile(name, Profile(url, secret, account)))


def _warn_of_environment() -> None:
    if os.environ.get("DAIS_TOKEN", "").strip():
        note(f"DAIS_TOKEN is set here and wins over {profiles_path()}: `unset DAIS_TOKEN` to use the profile")
