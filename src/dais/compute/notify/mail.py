"""Sending one mail. Blocking."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from socket import gethostname

from dais.compute.notify.settings import NotifySettings
from dais.compute.notify.webhook import Failed


def send_mail(settings: NotifySettings, to: str, subject: str, text: str, message_id: str) -> None:
    """Hand a mail to the server of the settings; the same id again is the same mail. Raises Failed."""
    if not settings.smtp_host:
        raise Failed("this installation sends no mail; its administrator can set DAIS_NOTIFY_SMTP_HOST", final=True)
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
        raise Failed(
            f"the mail server does not take mail for {to}: {code} {_said(words)}", final=code >= 500
        ) from error
    except smtplib.SMTPResponseException as error:
        said = f"{error.smtp_code} {_said(error.smtp_error)}"
        raise Failed(f"the mail server {settings.smtp_host} refused: {said}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Failed(f"the mail server {settings.smtp_host} cannot be used: {error}") from error


def one_line(text: str) -> str:
    """A text as a header can have it: nothing in it can begin another one."""
    return "".join(character if character.isprintable() else " " for character in text).strip()[:200]


def _hand_over(settings: NotifySettings, message: EmailMessage) -> None:
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
