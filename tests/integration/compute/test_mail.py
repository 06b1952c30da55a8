"""Mail that tells of a job's end, handed to a real mail server."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dais.compute import NotifySettings
from dais.compute.notify.notifier import mail_of
from dais.compute.notify.outbox import Facts
from dais.kit.mail import Undelivered, send_mail
from tests.support.receivers import Mailbox, certificate, mailbox

FACTS = Facts(
    id="0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10",
    number=7,
    name="train",
    account="local.joe",
    run=0,
    state="FAILED",
    reason="out-of-memory",
    detail="it used more than 1 GiB",
    exit_code=None,
    signal=9,
    created_at="2026-11-22T09:30:00Z",
    started_at="2026-11-22T09:30:01Z",
    ended_at="2026-11-22T09:31:00Z",
)
PAGE = "https://dais.example.org/jobs/0193a1b2"


def send(box: Mailbox, subject: str, text: str, *, to: str = "ann@example.org", **settings: Any) -> None:
    given = {"smtp_host": "localhost", "smtp_port": box.port, "smtp_security": "none", "mail_from": "dais@example.org"}
    made = msgspec.convert(given | settings, NotifySettings)
    send_mail(made, to, subject, text, "0193-id")


def read(box: Mailbox) -> EmailMessage:
    recipients, raw = box.next()
    assert recipients == ["ann@example.org"]
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_mail_says_how_the_job_ended() -> None:
    with mailbox() as box:
        send(box, *mail_of(FACTS, PAGE))
        message = read(box)
    assert message["Subject"] == "Job train: FAILED (out-of-memory)"
    assert (message["From"], message["To"]) == ("dais@example.org", "ann@example.org")
    assert message["Message-ID"] == "<0193-id@dais>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    text = message.get_content()
    for part in ("local.joe", "it used more than 1 GiB", "signal     9", FACTS.id, PAGE):
        assert part in text


def test_nothing_can_add_a_header_or_end_the_text() -> None:
    with mailbox() as box:
        send(box, "Job x\r\nBcc: all@example.org\r\n\r\n", "first\n.\nQUIT\nlast")
        message = read(box)
        assert box.count == 0
    assert message["Bcc"] is None
    assert message["Subject"] == "Job x  Bcc: all@example.org"
    assert message.get_content() == "first\n.\nQUIT\nlast\n"


def test_starttls_and_a_password_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, context = certificate(tmp_path, ["localhost"])
    password = tmp_path / "password"
    password.write_text("hunter2\n")
    more = {"smtp_security": "starttls", "smtp_user": "dais", "smtp_password_file": str(password)}
    with mailbox(context) as box:
        with pytest.raises(Undelivered, match="certificate"):
            send(box, "x", "y", **more)
        assert not box.signed_in, "no password before the certificate is good"
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        send(box, "x", "y", **more)
        read(box)
        assert len(box.signed_in) == 1
        assert box.secured >= 1
        with pytest.raises(Undelivered, match="SMTP_PASSWORD_FILE"):
            send(box, "x", "y", **more | {"smtp_password_file": str(tmp_path / "none")})


def test_a_server_without_starttls_is_not_spoken_to() -> None:
    with mailbox() as box:
        with pytest.raises(Undelivered, match="cannot be used"):
            send(box, "x", "y", smtp_security="starttls")
        assert box.count == 0


@pytest.mark.parametrize("answer, final", [("550 no such user", True), ("450 come back later", False)])
def test_a_refused_recipient_is_told(answer: str, final: bool) -> None:
    with mailbox() as box:
        box.refuse = answer
        with pytest.raises(Undelivered, match=answer) as caught:
            send(box, "x", "y")
    assert caught.value.final is final


def test_no_mail_server_is_told_with_the_remedy() -> None:
    with pytest.raises(Undelivered, match="DAIS_NOTIFY_SMTP_HOST") as caught:
        send_mail(NotifySettings(), "ann@example.org", "x", "y", "id")
    assert caught.value.final
