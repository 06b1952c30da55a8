"""Second factors: asked for, demanded, good once, and not gone around."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dais.identity import (
    Actor,
    Browser,
    Entry,
    SignInDesk,
    begin_enrolment,
    create_sign_in_link,
    find_pending,
    find_session,
    list_devices,
    recovery_codes_left,
    redeem_sign_in_link,
    reseal_devices,
)
from dais.identity.signing_in.failures import FREE
from dais.identity.signing_in.second_factors import new_recovery_codes, remove_second_factors
from dais.identity.signing_in.steps import PENDING_SECONDS
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import TooMany, Unauthenticated
from dais.kit.vault import KEY_FILE, Vault
from tests.support.database import every_row
from tests.support.signing_in import (
    HERE,
    OTHER,
    PASSWORD,
    QUICK,
    code_at,
    demand,
    refusal,
    session,
    with_device,
)

pytestmark = pytest.mark.anyio


async def test_a_second_factor_is_asked_for_and_a_code_is_good_once(
    database: Database, vault: Vault, desk: SignInDesk, joe: Actor, clock: ManualClock
) -> None:
    secret = with_device(database, vault, joe.id, clock)
    entry = await desk.by_password("local.joe", PASSWORD, HERE)
    assert entry.step == "second-factor"
    with pytest.raises(Unauthenticated):
        database.read_sync(find_session, entry.secret)
    code = code_at(secret, clock)
    done = await desk.second_factor(entry.secret, f" {code[:3]} {code[3:]} ", HERE)
    assert session(database, done).strong
    again = await desk.by_password("local.joe", PASSWORD, HERE)
    with pytest.raises(Unauthenticated) as caught:
        await desk.second_factor(again.secret, code, HERE)
    assert caught.value.code == "wrong-code"
    with pytest.raises(Unauthenticated):  # an older one is not good any more, either
        await desk.second_factor(again.secret, code_at(secret, clock, seconds=-30), HERE)
    clock.advance(30)
    assert (await desk.second_factor(again.secret, code_at(secret, clock), HERE)).step == "session"


async def test_the_same_code_twice_at_the_same_time_lets_one_in(
    database: Database, vault: Vault, desk: SignInDesk, joe: Actor, clock: ManualClock
) -> None:
    secret = with_device(database, vault, joe.id, clock)
    entries = [await desk.by_password("local.joe", PASSWORD, HERE) for _ in range(4)]
    tries = [desk.second_factor(entry.secret, code_at(secret, clock), HERE) for entry in entries]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(outcome, Entry) for outcome in outcomes) == 1


@pytest.mark.parametrize("seconds, good", [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
async def test_clocks_may_differ_by_one_step(
    database: Database, vault: Vault, desk: SignInDesk, joe: Actor, clock: ManualClock, seconds: int, good: bool
) -> None:
    secret = with_device(database, vault, joe.id, clock)
    clock.advance(600)
    entry = await desk.by_password("local.joe", PASSWORD, HERE)
    code = code_at(secret, clock, seconds=seconds)
    if good:
        assert (await desk.second_factor(entry.secret, code, HERE)).step == "session"
    else:
        with pytest.raises(Unauthenticated):
            await desk.second_factor(entry.secret, code, HERE)


async def test_codes_are_not_guessed_by_signing_in_again_and_again(
    database: Database, vault: Vault, desk: SignInDesk, joe: Actor, clock: ManualClock
) -> None:
    secret = with_device(database, vault, joe.id, clock)
    right = code_at(secret, clock)
    wrong = "000000" if right != "000000" else "000001"
    for number in range(FREE):
        entry = await desk.by_password("local.joe", PASSWORD, HERE)
        with pytest.raises(Unauthenticated):
            await desk.second_factor(entry.secret, wrong, Browser(f"203.0.113.{number}"))
    with pytest.raises(TooMany) as caught:
        await desk.second_factor(entry.secret, right, HERE)
    assert caught.value.fields["retry_after"] == 30
    assert await refusal(desk, "local.joe", PASSWORD) == ("locked-out", 30)


async def test_a_recovery_code_is_good_once(
    database: Database, vault: Vault, desk: SignInDesk, joe: Actor, clock: ManualClock
) -> None:
    with_device(database, vault, joe.id, clock)
    codes = database.write_sync(new_recovery_codes, joe.id)
    assert len(set(codes)) == 10
    entry = await desk.by_password("local.joe", PASSWORD, HERE)
    assert (await desk.second_factor(entry.secret, codes[0].lower().replace("-", " "), HERE)).step == "session"
    assert database.read_sync(recovery_codes_left, joe.id) == 9
    entry = await desk.by_password("local.joe", PASSWORD, HERE)
    with pytest.raises(Unauthenticated):
        await desk.second_factor(entry.secret, codes[0], HERE)
    stored = database.read_sync(every_row)
    assert not any(code in stored or code.replace("-", "") in stored for code in codes)


async def test_where_one_is_demanded_it_is_set_up_before_anything_else(
    database: Database, vault: Vault, root: Actor, desk: SignInDesk, joe: Actor, clock: ManualClock
) -> None:
    before = await desk.by_password("local.joe", PASSWORD, HERE)
    demand(database)
    with pytest.raises(Unauthenticated) as caught:  # also for those who are signed in
        database.read_sync(find_session, before.secret)
    assert caught.value.code == "second-factor-required"
    entry = await desk.by_password("local.joe", PASSWORD, HERE)
    assert entry.step == "enrolment"
    secret = database.write_sync(begin_enrolment, vault, joe.id).secret
    assert database.write_sync(begin_enrolment, vault, joe.id).secret == secret  # the page may be loaded again
    with pytest.raises(Unauthenticated):
        await desk.enrol(entry.secret, "12345", "phone", HERE)
    code = code_at(secret, clock)
    done, codes = await desk.enrol(entry.secret, code, "Joe's phone", HERE)
    assert session(database, done).strong
    assert len(codes) == 10
    assert [device.name for device in database.read_sync(list_devices, joe.id)] == ["Joe's phone"]
    again = await desk.by_password("local.joe", PASSWORD, HERE)
    assert again.step == "second-factor"
    with pytest.raises(Unauthenticated):  # the code that set it up is used
        await desk.second_factor(again.secret, code, HERE)
    with pytest.raises(Unauthenticated):  # and nobody sets another one up instead of showing it
        await desk.enrol(again.secret, code, "mine", HERE)
    assert secret not in database.read_sync(every_row)


async def test_a_link_is_a_first_factor_alone(
    database: Database, vault: Vault, desk: SignInDesk, joe: Actor, clock: ManualClock
) -> None:
    secret = with_device(database, vault, joe.id, clock)
    entry = database.write_sync(redeem_sign_in_link, database.write_sync(create_sign_in_link, joe.id))
    assert entry.step == "second-factor"
    found = session(database, await desk.second_factor(entry.secret, code_at(secret, clock), HERE))
    assert (found.first_factor, found.strong) == ("link", True)


async def test_a_link_to_a_new_password_does_not_replace_the_second_factor(
    database: Database, vault: Vault, desk: SignInDesk, joe: Actor, clock: ManualClock
) -> None:
    secret = with_device(database, vault, joe.id, clock)
    link = database.write_sync(create_sign_in_link, joe.id, "password")
    entry = database.write_sync(redeem_sign_in_link, link)
    with pytest.raises(Unauthenticated):
        await desk.pending_password(entry.secret, OTHER, HERE)
    entry = await desk.second_factor(entry.secret, code_at(secret, clock), HERE)
    assert entry.step == "password"
    assert (await desk.pending_password(entry.secret, OTHER, HERE)).step == "session"


async def test_an_unfinished_sign_in_ends(
    database: Database, vault: Vault, desk: SignInDesk, joe: Actor, clock: ManualClock
) -> None:
    secret = with_device(database, vault, joe.id, clock)
    entry = await desk.by_password("local.joe", PASSWORD, HERE)
    assert database.read_sync(find_pending, entry.secret).user == "local.joe"
    clock.advance(PENDING_SECONDS)
    for made_up in (entry.secret, "", "x", "0" * 43):
        with pytest.raises(Unauthenticated) as caught:
            await desk.second_factor(made_up, code_at(secret, clock), HERE)
        assert caught.value.code == "no-sign-in"


async def test_without_second_factors_there_is_none_to_ask_for(
    database: Database, vault: Vault, desk: SignInDesk, joe: Actor, clock: ManualClock
) -> None:
    with_device(database, vault, joe.id, clock)
    database.write_sync(remove_second_factors, joe.id)
    assert (await desk.by_password("local.joe", PASSWORD, HERE)).step == "session"


async def test_secrets_are_in_no_table(
    database: Database, vault: Vault, desk: SignInDesk, joe: Actor, clock: ManualClock
) -> None:
    secret = with_device(database, vault, joe.id, clock)
    entry = await desk.by_password("local.joe", PASSWORD, HERE)
    done = await desk.second_factor(entry.secret, code_at(secret, clock), HERE)
    stored = database.read_sync(every_row)
    assert "session:new" in stored
    for hidden in (PASSWORD, secret, entry.secret, done.secret):
        assert hidden not in stored


async def test_a_device_outlives_the_key_that_its_secret_was_sealed_with(
    database: Database, vault: Vault, root: Actor, desk: SignInDesk, joe: Actor, clock: ManualClock, tmp_path: Path
) -> None:
    secret = with_device(database, vault, joe.id, clock)
    vault.rotate()
    assert database.write_sync(reseal_devices, root, vault) == 1
    keys = tmp_path / KEY_FILE
    keys.write_text(keys.read_text().splitlines()[-1] + "\n")
    later = SignInDesk(database, Vault(keys), QUICK)
    entry = await later.by_password("local.joe", PASSWORD, HERE)
    assert (await later.second_factor(entry.secret, code_at(secret, clock), HERE)).step == "session"
