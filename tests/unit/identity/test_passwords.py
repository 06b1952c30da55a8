"""Passwords: weak ones are refused with advice, hashing is bounded, and nothing tells whether there is a user."""

from __future__ import annotations

import asyncio

import pytest

from dais.identity.settings import IdentitySettings
from dais.identity.signing_in.passwords import MAX_LENGTH, MOST_WAITING, Hashing, check_password
from dais.kit.errors import Invalid, TooMany

pytestmark = pytest.mark.anyio
QUICK = IdentitySettings(password_memory=8, password_passes=1)


async def test_a_hash_is_argon2id_with_the_parameters_of_the_settings() -> None:
    hashing = Hashing(IdentitySettings(password_memory=9, password_passes=2))
    stored = await hashing.make("correct horse")
    assert stored.startswith("$argon2id$v=19$m=9216,t=2,p=4$")
    assert await hashing.matches(stored, "correct horse")
    assert not await hashing.matches(stored, "correct horsf")
    assert not hashing.outdated(stored)
    assert Hashing(QUICK).outdated(stored)


async def test_nobody_has_no_password_and_the_same_work_is_done() -> None:
    hashing = Hashing(QUICK)
    for password in ("", "x", "ä\udc80", "y" * 10_000):
        before = hashing.done
        assert not await hashing.matches(None, password)
        assert hashing.done == before + 1


async def test_what_is_no_hash_matches_nothing() -> None:
    assert not await Hashing(QUICK).matches("$argon2id$broken", "x")


async def test_a_flood_takes_no_more_memory_than_a_few() -> None:
    hashing = Hashing(IdentitySettings(password_memory=8, password_passes=1, password_parallel=2))
    tries = [asyncio.create_task(hashing.matches(None, "x")) for _ in range(MOST_WAITING + 5)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, TooMany)]
    assert len(refused) == 5
    assert refused[0].fields["retry_after"] == 5
    assert hashing.done == MOST_WAITING
    assert await hashing.matches(await hashing.make("again"), "again")


@pytest.mark.parametrize("password", ["password", "12345678", "joe.smith1", "example.org1", "acmeacme"])
def test_what_others_guess_is_refused_with_advice(password: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_password(password, ["joe", "joe.smith@example.org", "Joe Smith", "acme"])
    assert caught.value.code == "weak-password"
    assert caught.value.message.count(".") >= 2


@pytest.mark.parametrize("password", ["", "short", "x" * (MAX_LENGTH + 1), "a\0bcdefghijk"])
def test_what_is_no_password_is_refused(password: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_password(password, [])
    assert caught.value.code == "bad-password"


def test_a_few_words_that_do_not_belong_together_are_strong() -> None:
    assert check_password("lantern otter violin", ["joe", None])
