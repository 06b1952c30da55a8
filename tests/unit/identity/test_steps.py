"""What a sign-in still needs, for every way it can stand."""

from __future__ import annotations

import itertools

from dais.identity.signing_in.failures import FREE, LONGEST_SECONDS, Addresses, wait_after
from dais.identity.signing_in.steps import next_step
from dais.kit.clock import SECOND
from dais.kit.errors import TooMany


def test_nobody_gets_in_without_what_is_demanded() -> None:
    for strong, has_factor, mfa_required, new_password in itertools.product((False, True), repeat=4):
        step = next_step(strong=strong, has_factor=has_factor, mfa_required=mfa_required, new_password=new_password)
        if step == "session":
            assert strong or not (has_factor or mfa_required)
            assert not new_password
        if step == "enrolment":  # whoever has a factor shows it: nobody sets up another one instead
            assert not has_factor
        if step == "password":
            assert strong or not has_factor


def test_lock_outs_grow_to_a_quarter_of_an_hour() -> None:
    waits = [wait_after(failures, FREE) for failures in range(1, 14)]
    assert waits[:8] == [0, 0, 0, 0, 30, 60, 120, 240]
    assert waits == sorted(waits)
    assert wait_after(10_000, FREE) == LONGEST_SECONDS


def refused(addresses: Addresses, address: str, now: int) -> int:
    try:
        addresses.count(address, now)
    except TooMany as error:
        return int(error.fields["retry_after"])
    return 0


def test_an_address_is_locked_after_many_failures_and_others_are_not() -> None:
    addresses = Addresses(free=3)
    assert [refused(addresses, "192.0.2.1", 0) for _ in range(4)] == [0, 0, 0, 30]
    assert refused(addresses, "192.0.2.2", 0) == 0
    assert refused(addresses, "192.0.2.1", 30 * SECOND) == 0
    assert refused(addresses, "192.0.2.1", 30 * SECOND) == 60


def test_ones_own_account_buys_no_guesses_at_others() -> None:
    addresses = Addresses(free=3)
    for _ in range(2):
        assert refused(addresses, "192.0.2.1", 0) == 0
    for _ in range(5):
        assert refused(addresses, "192.0.2.1", 0) == 0
        addresses.take_back("192.0.2.1")
    assert refused(addresses, "192.0.2.1", 0) == 0
    assert refused(addresses, "192.0.2.1", 0) == 30


def test_a_network_of_many_addresses_counts_as_one() -> None:
    addresses = Addresses(free=3)
    for number in range(3):
        assert refused(addresses, f"2001:db8::{number:x}", 0) == 0
    assert refused(addresses, "2001:db8::ffff", 0) == 30
    assert refused(addresses, "2001:db8:0:1::1", 0) == 0
    assert refused(addresses, "::ffff:192.0.2.7", 0) == 0


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    addresses = Addresses(most=10)
    for number in range(200):
        addresses.count(f"192.0.2.{number}", 0)
    assert len(addresses._seen) == 10
