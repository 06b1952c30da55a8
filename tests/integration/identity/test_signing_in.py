"""Signing in, step by step, and what those try who may not: guesses, floods, replays, and whether there is a user."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pyotp
import pytest

from dais.identity import (
    Actor,
    Browser,
    Entry,
    IdentitySettings,
    Session,
    SignInDesk,
    authenticate,
    begin_enrolment,
    bootstrap,
    create_sign_in_link,
    create_token,
    create_user,
    disable_user,
    find_pending,
    find_session,
    list_devices,
    recovery_codes_left,
    redeem_sign_in_link,
)
from dais.identity.signing_in.failures import FREE, FREE_OF_ADDRESS
from dais.identity.signing_in.second_factors import new_recovery_codes, remove_second_factors
from dais.identity.signing_in.steps import PENDING_SECONDS
from dais.kit.clock import SECOND, ManualClock
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import Forbidden, Invalid, TooMany, Unauthenticated
from dais.kit.vault import KEY_FILE, Vault
from tests.support.database import every_row

pytestmark = pytest.mark.anyio

PASSWORD = "lantern otter violin"
OTHER = "granite whisper marmalade"
HERE = Browser("192.0.2.1", "Firefox/140")
QUICK = IdentitySettings(password_memory=8, password_passes=1)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / KEY_FILE)


@pytest.fixture
def desk(database: Database, vault: Vault) -> SignInDesk:
    return SignInDesk(database, vault, QUICK)


@pytest.fixture
def root(database: Database) -> Actor:
    made = database.write_sync(bootstrap, "root")
    assert made is not None
    actor: Actor = database.read_sync(authenticate, made.token.secret).actor
    return actor


@pytest.fixture
async def joe(database: Database, desk: SignInDesk, root: Actor) -> Actor:
    """A user with a password of their own."""

    def make(uow: UnitOfWork) -> str:
        return create_user(uow, root, "joe", email="joe@example.org").id

    user_id = database.write_sync(make)
    await desk.set_password(root, user_id, PASSWORD, must_change=False)
    return acting(database, root, user_id)


def acting(database: Database, root: Actor, user_id: str) -> Actor:
    def token(uow: UnitOfWork) -> str:
        return create_token(uow, root, user_id=user_id).secret

    actor: Actor = database.read_sync(authenticate, database.write_sync(token)).actor
    return actor


def session(database: Database, entry: Entry) -> Session:
    assert entry.step == "session"
    found: Session = database.read_sync(find_session, entry.secret)
    return found


async def refusal(desk: SignInDesk, name: str, password: str, address: str = "192.0.2.1") -> tuple[str, int]:
    """The code of the refusal, and the seconds to wait."""
    with pytest.raises((Unauthenticated, TooMany)) as caught:
        await desk.by_password(name, password, Browser(address))
    return caught.value.code, caught.value.fields.get("retry_after", 0)


def code_at(secret: str, clock: ManualClock, *, seconds: int = 0) -> str:
    return str(pyotp.TOTP(secret).at(clock.now() // SECOND + seconds))


def with_device(database: Database, vault: Vault, user_id: str, clock: ManualClock) -> str:
    """Set a device up; its secret. Its first code is used."""
    from dais.identity.signing_in.second_factors import confirm_enrolment

    secret: str = database.write_sync(begin_enrolment, vault, user_id).secret
    assert database.write_sync(confirm_enrolment, vault, user_id, code_at(secret, clock), "phone")
    clock.advance(30)
    return secret


async def test_the_address_and_the_full_name_sign_in(database: Database, desk: SignInDesk, joe: Actor) -> None:
    for name in ("joe@example.org", " JOE@example.org ", "local.joe", "joe"):
        found = session(database, await desk.by_password(name, PASSWORD, HERE))
        assert (found.actor.id, found.first_factor, found.strong) == (joe.id, "password", False)


async def test_whether_there_is_a_user_is_told_neither_by_answer_nor_by_work(
    database: Database, root: Actor, desk: SignInDesk, joe: Actor
) -> None:
    seen: dict[str, list[tuple[str, int]]] = {}
    work: dict[str, list[int]] = {}
    # One with a password, one without, none at all, an organization that is not there.
    for place, name in enumerate(("local.joe", "local.root", "local.nobody", "nowhere.joe")):
        for _ in range(FREE + 2):
            before = desk.hashing.done
            seen.setdefault(name, []).append(await refusal(desk, name, OTHER, f"198.51.100.{place}"))
            work.setdefault(name, []).append(desk.hashing.done - before)
    assert len({tuple(answers) for answers in seen.values()}) == 1
    assert len({tuple(counts) for counts in work.values()}) == 1
    assert seen["local.joe"] == [("wrong-password", 0)] * FREE + [("locked-out", 30)] * 2
    assert work["local.joe"] == [1] * FREE + [0] * 2


async def test_locks_grow_and_the_right_password_waits_too(desk: SignInDesk, joe: Actor, clock: ManualClock) -> None:
    for _ in range(FREE):
        assert await refusal(desk, "local.joe", OTHER) == ("wrong-password", 0)
    assert await refusal(desk, "joe@example.org", PASSWORD) == ("locked-out", 30)  # whatever name they are called by
    clock.advance(29)
    assert await refusal(desk, "local.joe", PASSWORD) == ("locked-out", 1)
    clock.advance(1)
    assert await refusal(desk, "local.joe", OTHER) == ("wrong-password", 0)
    assert await refusal(desk, "local.joe", PASSWORD) == ("locked-out", 60)
    clock.advance(60)
    await desk.by_password("local.joe", PASSWORD, HERE)
    assert await refusal(desk, "local.joe", OTHER) == ("wrong-password", 0)  # all is forgiven


async def test_a_lock_outlives_the_server(database: Database, vault: Vault, desk: SignInDesk, joe: Actor) -> None:
    for _ in range(FREE):
        await refusal(desk, "local.joe", OTHER)
    assert await refusal(SignInDesk(database, vault, QUICK), "local.joe", PASSWORD) == ("locked-out", 30)


async def test_many_guesses_at_a_time_get_no_further_than_one_after_the_other(desk: SignInDesk, joe: Actor) -> None:
    guesses = [refusal(desk, "local.joe", f"{OTHER} {number}", f"203.0.113.{number}") for number in range(20)]
    answers = await asyncio.gather(*guesses)
    assert sorted(answers) == [("locked-out", 30)] * 15 + [("wrong-password", 0)] * FREE
    assert desk.hashing.done == FREE + 1  # and the one that made the password


async def test_an_address_that_tries_many_names_is_locked(desk: SignInDesk, root: Actor) -> None:
    for number in range(FREE_OF_ADDRESS):
        assert await refusal(desk, f"local.name{number}", OTHER) == ("wrong-password", 0)
    assert await refusal(desk, "local.another", OTHER) == ("locked-out", 30)
    assert await refusal(desk, "local.another", OTHER, "192.0.2.2") == ("wrong-password", 0)


async def test_a_disabled_user_does_not_get_in(database: Database, root: Actor, desk: SignInDesk, joe: Actor) -> None:
    database.write_sync(disable_user, root, joe.id)
    with pytest.raises(Unauthenticated) as caught:
        await desk.by_password("local.joe", PASSWORD, HERE)
    assert caught.value.code == "user-disabled"


async def test_a_password_that_somebody_else_chose_is_changed_first(
    database: Database, root: Actor, desk: SignInDesk, joe: Actor
) -> None:
    old = (await desk.by_password("local.joe", PASSWORD, HERE)).secret
    await desk.set_password(root, joe.id, OTHER)
    with pytest.raises(Unauthenticated):
        database.read_sync(find_session, old)
    entry = await desk.by_password("local.joe", OTHER, HERE)
    assert entry.step == "password"
    with pytest.raises(Unauthenticated):
        database.read_sync(find_session, entry.secret)
    with pytest.raises(Invalid) as caught:
        await desk.pending_password(entry.secret, OTHER, HERE)
    assert caught.value.code == "same-password"
    with pytest.raises(Invalid) as caught:
        await desk.pending_password(entry.secret, "joe12345", HERE)
    assert caught.value.code == "weak-password"
    done = await desk.pending_password(entry.secret, PASSWORD, HERE)
    assert session(database, done).actor.id == joe.id
    with pytest.raises(Unauthenticated):  # it is finished: its secret opens nothing more
        await desk.pending_password(entry.secret, "saffron glacier accordion", HERE)
    assert (await desk.by_password("local.joe", PASSWORD, HERE)).step == "session"


async def test_changing_ones_password_asks_for_the_old_one_and_ends_every_session(
    database: Database, desk: SignInDesk, joe: Actor
) -> None:
    here = await desk.by_password("local.joe", PASSWORD, HERE)
    elsewhere = await desk.by_password("local.joe", PASSWORD, Browser("192.0.2.9"))
    mine = session(database, here)
    with pytest.raises(Unauthenticated) as caught:
        await desk.change_password(mine, OTHER, OTHER, HERE)
    assert caught.value.code == "wrong-password"
    fresh = await desk.change_password(mine, PASSWORD, OTHER, HERE)
    for secret in (here.secret, elsewhere.secret):
        with pytest.raises(Unauthenticated):
            database.read_sync(find_session, secret)
    assert database.read_sync(find_session, fresh).actor.id == joe.id
    assert await refusal(desk, "local.joe", PASSWORD) == ("wrong-password", 0)


async def test_nobody_sets_the_password_of_somebody_who_may_more(
    database: Database, root: Actor, desk: SignInDesk, joe: Actor
) -> None:
    with pytest.raises(Forbidden):
        await desk.set_password(joe, root.id, OTHER)


async def test_a_password_is_hashed_anew_when_the_parameters_change(
    database: Database, vault: Vault, desk: SignInDesk, joe: Actor
) -> None:
    later = SignInDesk(database, vault, IdentitySettings(password_memory=9, password_passes=1))
    await later.by_password("local.joe", PASSWORD, HERE)
    assert later.hashing.done == 2
    await later.by_password("local.joe", PASSWORD, HERE)
    assert later.hashing.done == 3
    assert "m=9216" in database.read_sync(every_row)


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


def demand(database: Database) -> None:
    def on(uow: UnitOfWork) -> None:
        uow._connection.cursor().execute("UPDATE organizations SET mfa_required = 1")

    database.write_sync(on)
