"""Signing in by a password, and what those try who may not: guesses, floods, and whether there is a user."""

from __future__ import annotations

import asyncio

import pytest

from dais.identity import (
    Actor,
    Browser,
    IdentitySettings,
    SignInDesk,
    disable_user,
    find_session,
    list_audit,
)
from dais.identity.signing_in.failures import FREE, FREE_OF_ADDRESS
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Forbidden, Invalid, Unauthenticated
from dais.kit.vault import Vault
from tests.support.database import every_row
from tests.support.signing_in import (
    HERE,
    OTHER,
    PASSWORD,
    QUICK,
    refusal,
    session,
)

pytestmark = pytest.mark.anyio


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


async def test_failures_are_written_down_and_what_was_typed_is_not(
    database: Database, root: Actor, desk: SignInDesk, joe: Actor
) -> None:
    await refusal(desk, "local.joe", OTHER, "203.0.113.7")
    await refusal(desk, PASSWORD, OTHER, "203.0.113.8")  # the password in the name's place
    found = database.read_sync(list_audit, root, action="session:new").items
    assert [(one.user, one.allowed, one.address) for one in found] == [
        ("(nobody)", False, "203.0.113.8"),
        ("local.joe", False, "203.0.113.7"),
    ]
    stored = database.read_sync(every_row)
    assert PASSWORD not in stored
    assert OTHER not in stored
