"""`key new`, `ls` and `rm` of users and roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.identity.completing import NAMES
from dais.cli.identity.names import role_named
from dais.cli.output import Output, with_output_of
from dais.wire.identities import Key, NewKey

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.sdk.keys import Holder

COLUMNS = ("id", "label", "allow", "created_at", "expires_at", "last_used_at")
NEW = ("id", "expires_at", "secret")


def keys_of(kind: Holder, example: str, own: str) -> click.Group:
    """The group `key` below `dais user` or `dais role`; `own` says whose keys are meant without a name, if any."""

    @click.group(
        cls=LazyGroup,
        help=f"Make, list and end the keys of a {kind}: bearer tokens for programs.\n\n\b\nExample:\n"
        f"  dais {kind} key new {example} --label ci --expires 90d\n",
    )
    def key() -> None: ...

    @key.command(
        help=f"Make a key, whose secret is printed this once.{own}\n\n"
        "Programs send it in the header `Authorization: Bearer SECRET`, or have it in DAIS_TOKEN. With --pair it is "
        "`ACCESS:SECRET`, which DAIS_TOKEN takes, too. With --allow it may "
        "do only what these statements allow, too.\n\n\b\nExamples:\n"
        f"  dais {kind} key new {example} --label ci --expires 90d\n"
        f"  dais {kind} key new {example} --pair\n"
        f"  dais {kind} key new {example} --allow 'job:get@acme:account:acme.lab:job:*' --field secret\n"
    )
    @click.argument("holder", metavar=kind.upper(), required=not own, shell_complete=NAMES[kind])
    @click.option("--label", metavar="TEXT", help="What it is for.")
    @click.option("--expires", metavar="TIME", help="It is good for so long, as 12h or 90d. [default: for ever]")
    @click.option("--allow", metavar="STATEMENT", multiple=True, help="Narrow it to this; may be given several times.")
    @click.option("--pair", is_flag=True, help="Make an access key and a secret that signs requests.")
    @with_output_of(NewKey)
    @connected
    def new(
        client: Client,
        output: Output,
        holder: str | None,
        label: str | None,
        expires: str | None,
        allow: tuple[str, ...],
        pair: bool,
    ) -> None:
        from dais.wire.units import parse_duration

        made = client.keys.new(
            kind,
            _holder(client, kind, holder),
            label=label,
            expires_in=parse_duration(expires, "--expires") if expires is not None else None,
            allow=allow or None,
            pair=pair,
        )
        output.one(made, NEW)
        if output.for_people:
            note("keep the secret now: it is shown this once")

    @key.command(help=f"List keys, without their secrets.{own}\n\n\b\nExample:\n  dais {kind} key ls {example}\n")
    @click.argument("holder", metavar=kind.upper(), required=not own, shell_complete=NAMES[kind])
    @with_output_of(Key)
    @connected
    def ls(client: Client, output: Output, holder: str | None) -> None:
        output.many(Key, client.keys.list(kind, _holder(client, kind, holder)), COLUMNS)

    @key.command(
        help=f"End keys at once, by their ids.\n\n\b\nExample:\n"
        f"  dais {kind} key rm 0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10\n"
    )
    @click.argument("keys", metavar="KEY...", nargs=-1, required=True)
    @connected
    def rm(client: Client, keys: tuple[str, ...]) -> None:
        for one in keys:
            client.keys.rm(one)

    return key


def _holder(client: Client, kind: Holder, holder: str | None) -> str | None:
    return role_named(client, None, holder) if kind == "role" and holder is not None else holder
