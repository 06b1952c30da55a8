"""Names on the command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dais.cli.base import chosen

if TYPE_CHECKING:
    from dais.sdk.client import Client

_id = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def acted_in(client: Client) -> str:
    """The account that is acted in."""
    return client.account or client.me().account


def role_named(client: Client, kind: str | None, ref: str) -> str:
    """The full name, or the id, of a role.

    A name alone is that of a role of the account acted in for `dais account role`, and where --account is given; else
    of one's organization.
    """
    if "." in ref or _id.fullmatch(ref):
        return ref
    if kind == "account":
        return f"{acted_in(client)}.{ref}"
    given = chosen().account if kind is None else None
    return f"{given}.{ref}" if given else ref
