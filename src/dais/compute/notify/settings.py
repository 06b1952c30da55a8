"""Settings of notifications."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from dais.kit.settings import settings


@settings("notify")
class NotifySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How people and programs are told that a job has ended."""

    base_url: Annotated[
        str, msgspec.Meta(description="Address of the pages in messages; empty: where this server listens.")
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
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60, description="Seconds that one try may take.")] = 10.0
    smtp_host: Annotated[str, msgspec.Meta(description="The server that takes mail; empty: no mail is sent.")] = ""
    smtp_port: Annotated[int, msgspec.Meta(ge=1, le=65535, description="Its port.")] = 587
    smtp_security: Annotated[
        Literal["starttls", "tls", "none"],
        msgspec.Meta(
            description="How the connection to it is protected: `starttls`, `tls` (from the start) or `none`."
        ),
    ] = "starttls"
    smtp_user: Annotated[str, msgspec.Meta(description="Whom to sign in as there; empty: nobody.")] = ""
    smtp_password_file: Annotated[
        str, msgspec.Meta(description="The file that holds the password, on its first line.")
    ] = ""
    mail_from: Annotated[str, msgspec.Meta(description="The sender of mails; empty: dais@ and this host's name.")] = ""
