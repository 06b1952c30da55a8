"""Settings of notifications."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.kit.mail import MailSettings
from dais.kit.settings import settings


@settings("notify")
class NotifySettings(MailSettings, frozen=True, kw_only=True):
    """How people and programs are told that a job has ended."""

    base_url: Annotated[
        str, msgspec.Meta(description="Address of the pages in messages; empty: the public one, else where it listens.")
    ] = ""
    internal_hosts: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Hosts and networks that webhooks may reach although they are internal, as "
            "`hooks.lan,10.1.0.0/16`; these may be plain http, too."
        ),
    ] = ()
    tries: Annotated[
        int, msgspec.Meta(ge=1, le=20, description="How often a message is tried before it is given up.")
    ] = 5
