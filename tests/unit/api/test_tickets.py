"""Tickets open what they were written for, for a while, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from dais.api.bulk import Ticket, Tickets
from dais.api.bulk.tickets import TICKET_SECONDS
from dais.kit.clock import ManualClock
from dais.kit.errors import Unauthenticated
from dais.kit.vault import Vault

TICKET = Ticket(user="ann", folder="f", key="k" * 64, path="ä/\x01" * 1000, size=1 << 40)


def refused(tickets: Tickets, text: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        tickets.read(text)
    return caught.value.code


def test_a_ticket_is_read_as_it_was_written_until_it_expires(tmp_path: Path) -> None:
    clock = ManualClock()
    tickets = Tickets(Vault(tmp_path / "keys"), clock)
    text = tickets.issue(TICKET)
    assert len(text) < 8_000, "a ticket fits into the head of a request"
    read = tickets.read(text)
    assert (read.user, read.key, read.path, read.size) == (TICKET.user, TICKET.key, TICKET.path, TICKET.size)
    clock.advance(TICKET_SECONDS - 1)
    tickets.read(text)
    clock.advance(1)
    assert refused(tickets, text) == "ticket-expired"


def test_what_was_changed_or_signed_elsewhere_or_for_something_else_opens_nothing(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "keys")
    tickets = Tickets(vault, ManualClock())
    text = tickets.issue(TICKET)
    body, key_id, digits = text.split(".")
    for place in (0, len(body) // 2, len(body) + 2, len(text) - 1):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        assert refused(tickets, changed) == "bad-ticket"
    for wrong in ("", ".", "..", body, f"{body}.", f"{body}.{key_id}.", f"{body}.{digits}", text + "0", "ü.ü.ü"):
        assert refused(tickets, wrong) == "bad-ticket"
    assert refused(tickets, f"{body}.{tickets.proof(body)}") == "bad-ticket", "a proof is no ticket"
    other = Tickets(Vault(tmp_path / "other"), ManualClock())
    assert refused(other, text) == "bad-ticket"
    assert other.proof(text) != tickets.proof(text)


def test_a_ticket_outlives_a_new_key(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "keys")
    tickets = Tickets(vault, ManualClock())
    text = tickets.issue(TICKET)
    vault.rotate()
    assert tickets.read(text).key == TICKET.key
