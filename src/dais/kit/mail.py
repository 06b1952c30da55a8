"""Sending one mail."""

from __future__ import annotations

import asyncio
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from socket import gethostname
from typing import Annotated, Literal

import msgspec

from dais.kit.ids import new_id


class MailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How mail is sent; part of the settings of notifications, whose names they have."""

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


class Undelivered(Exception):
    """A mail was not taken. `final`: trying again is of no use."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class Mailer:
    """Sends mail as the settings say, in worker threads."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings

    @property
    def configured(self) -> bool:
        """Whether this installation sends mail at all."""
        return bool(self._settings.smtp_host)

    async def send(self, to: str, subject: str, text: str) -> None:
        """Hand one mail over. Raises Undelivered."""
        await asyncio.to_thread(send_mail, self._settings, to, subject, text, new_id())


def send_mail(settings: MailSettings, to: str, subject: str, text: str, message_id: str) -> None:
    """Hand a mail to the server of the settings; the same id again is the same mail. Blocking.

    Raises Undelivered.
    """
    if not settings.smtp_host:
        raise Undelivered(
            "this installation sends no mail; its administrator can set DAIS_NOTIFY_SMTP_HOST", final=True
        )
    import smtplib  # most installations send none

    message = EmailMessage()
    message["From"] = settings.mail_from or f"dais@{gethostname()}"
    message["To"] = to
    message["Subject"] = one_line(subject)
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{message_id}@dais>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    try:
        _hand_over(settings, message)
    except smtplib.SMTPRecipientsRefused as error:
        code, words = next(iter(error.recipients.values()))
        raise Undelivered(
            f"the mail server does not take mail for {to}: {code} {_said(words)}", final=code >= 500
        ) from error
    except smtplib.SMTPResponseException as error:
        said = f"{error.smtp_code} {_said(error.smtp_error)}"
        raise Undelivered(f"the mail server {settings.smtp_host} refused: {said}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Undelivered(f"the mail server {settings.smtp_host} cannot be used: {error}") from error


def one_line(text: str) -> str:
    """A text as a header can have it: nothing in it can begin another one."""
    return "".join(character if character.isprintable() else " " for character in text).strip()[:200]


def _hand_over(settings: MailSettings, message: EmailMessage) -> None:
    import smtplib

    secure = ssl.create_default_context() if settings.smtp_security != "none" else None
    if settings.smtp_security == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(
            settings.smtp_host, settings.smtp_port, timeout=settings.timeout, context=secure
        )
    else:
        connection = smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=settings.timeout)
    with connection:
        if settings.smtp_security == "starttls":
            connection.starttls(context=secure)
        if settings.smtp_user:
            connection.login(settings.smtp_user, _password(settings.smtp_password_file))
        connection.send_message(message)


def _password(path: str) -> str:
    try:
        return Path(path).read_text().partition("\n")[0]
    except OSError as error:
        raise OSError(f"DAIS_NOTIFY_SMTP_PASSWORD_FILE {path!r} cannot be read: {error.strerror}") from error


def _said(words: bytes | str) -> str:
    return one_line(words.decode(errors="replace") if isinstance(words, bytes) else words)
