"""Invitations, forgotten passwords and lost administrators: who gets in by a link, and who does not."""

from __future__ import annotations

import re
from email import message_from_bytes, policy

import pytest

from dais.identity import (
    Actor,
    SignInDesk,
    add_role_member,
    check_sign_in_link,
    create_account,
    disable_user,
    find_invitation,
    find_session,
    list_invitations,
    may,
    redeem_sign_in_link,
    remove_invitation,
    remove_role_member,
    resolve_role,
    resource_at,
)
from dais.identity.signing_in.forgotten import MOST_LINKS
from dais.identity.signing_in.invitations import INVITATION_SECONDS
from dais.identity.signing_in.links import PASSWORD_LINK_SECONDS
from dais.identity.signing_in.resetting import reset_sign_in
from dais.kit.clock import ManualClock
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import Conflict, DaisError, Forbidden, Unauthenticated
from dais.kit.mail import Mailer, MailSettings
from dais.kit.vault import Vault
from tests.support.database import every_row
from tests.support.receivers import Mailbox, mailbox
from tests.support.signing_in import HERE, OTHER, PASSWORD, QUICK, acting, refusal, with_device

pytestmark = pytest.mark.anyio
URL = "https://dais.example.org"


def mailing(database: Database, vault: Vault, box: Mailbox) -> SignInDesk:
    settings = MailSettings(smtp_host="localhost", smtp_port=box.port, smtp_security="none")
    return SignInDesk(database, vault, QUICK, Mailer(settings), lambda: URL)


def text_of(box: Mailbox) -> str:
    _, raw = box.next()
    body = message_from_bytes(raw, policy=policy.default).get_body()
    assert body is not None
    return str(body.get_content())


def lab(database: Database, root: Actor) -> str:
    account_id: str = database.write_sync(create_account, root, "lab", organization_id=root.organization_id).id
    return account_id


async def code_of(desk: SignInDesk, path: str | None, name: str = "ann") -> str:
    with pytest.raises(DaisError) as caught:
        await desk.accept(str(path).rpartition("/")[2], name, "", PASSWORD, HERE)
    return caught.value.code


async def test_an_invitee_becomes_a_user_with_what_was_chosen(
    database: Database, root: Actor, desk: SignInDesk
) -> None:
    account_id = lab(database, root)
    made, path = await desk.invite(root, "Ann@example.org", ["local.lab"])
    assert (made.email, made.roles, made.mail) == ("ann@example.org", ("local.lab.user",), None)
    entry = await desk.accept(str(path).rpartition("/")[2], "ann", "Ann Smith", PASSWORD, HERE)
    session = database.read_sync(find_session, entry.secret)
    assert (session.actor.name, session.first_factor) == ("ann", "invitation")

    def asked(uow: UnitOfWork) -> tuple[bool, bool]:
        place = resource_at(uow, "job", account_id=account_id, new=True)
        return may(uow, session.actor, "job:new", place), may(uow, session.actor, "account:rm", place)

    assert database.read_sync(asked) == (True, False)
    assert (await desk.by_password("ann@example.org", PASSWORD, HERE)).step == "session"
    assert await code_of(desk, path, "bob") == "bad-invitation"  # it was used
    assert [one.accepted_at is not None for one in database.read_sync(list_invitations, root)] == [True]
    assert str(path).rpartition("/")[2] not in database.read_sync(every_row)


async def test_what_is_no_good_invitation_is_refused(
    database: Database, root: Actor, desk: SignInDesk, clock: ManualClock
) -> None:
    made, path = await desk.invite(root, "ann@example.org", [])
    for forged in ("/", "/x", "/" + "0" * 43, f"{str(path)[:-1]}{'a' if str(path)[-1] != 'a' else 'b'}"):
        assert await code_of(desk, forged) == "bad-invitation"
    _, newer = await desk.invite(root, "ann@example.org", [])  # the older one is worthless
    assert await code_of(desk, path) == "bad-invitation"
    clock.advance(INVITATION_SECONDS)
    assert await code_of(desk, newer) == "bad-invitation"
    made, path = await desk.invite(root, "ann@example.org", [])
    database.write_sync(remove_invitation, root, made.id)
    assert await code_of(desk, path) == "bad-invitation"


async def test_nobody_gives_what_they_have_not(database: Database, root: Actor, desk: SignInDesk, joe: Actor) -> None:
    lab(database, root)
    with pytest.raises(Forbidden):
        await desk.invite(joe, "ann@example.org", [])

    def promote(uow: UnitOfWork, *, back: bool = False) -> None:
        role = resolve_role(uow, root, "local.admin")
        (remove_role_member if back else add_role_member)(uow, root, role, user_id=joe.id)

    database.write_sync(promote)
    inviter = acting(database, root, joe.id)
    _, path = await desk.invite(inviter, "ann@example.org", ["local.lab:admin"])
    database.write_sync(promote, back=True)
    assert await code_of(desk, path) == "bad-invitation"  # the inviter is asked again, as they are now
    database.write_sync(promote)
    _, path = await desk.invite(inviter, "ann@example.org", ["local.lab:admin"])
    database.write_sync(disable_user, root, joe.id)
    assert await code_of(desk, path) == "bad-invitation"


async def test_a_name_that_is_taken_does_not_use_it_up(
    database: Database, root: Actor, desk: SignInDesk, joe: Actor
) -> None:
    _, path = await desk.invite(root, "ann@example.org", [])
    assert await code_of(desk, path, "joe") == "user-exists"
    assert await code_of(desk, path, "No Name") == "bad-name"
    assert (await desk.accept(str(path).rpartition("/")[2], "ann", "", PASSWORD, HERE)).step == "session"
    with pytest.raises(Conflict):
        await desk.invite(root, "ann@example.org", [])


async def test_an_invitation_is_mailed_and_what_fails_is_told(database: Database, root: Actor, vault: Vault) -> None:
    with mailbox() as box:
        desk = mailing(database, vault, box)
        made, path = await desk.invite(root, "ann@example.org", [])
        assert (made.mail, path) == ("sent", None)
        found = re.search(rf"{URL}/invitations/(\w{{43}})\n", text_of(box))
        assert found is not None
        assert database.read_sync(find_invitation, found[1]).email == "ann@example.org"
    made, path = await desk.invite(root, "bob@example.org", [])
    assert "cannot be used" in str(made.mail)
    assert path is not None
    assert {one.mail for one in database.read_sync(list_invitations, root)} == {"sent", made.mail}


async def test_a_forgotten_password_is_replaced_by_a_mailed_link(
    database: Database, root: Actor, vault: Vault, joe: Actor, clock: ManualClock
) -> None:
    with mailbox() as box:
        desk = mailing(database, vault, box)
        desk.forgot(" Joe@example.org", HERE)
        await desk.forgotten.serve_one()
        text = text_of(box)
        secret = text.split("/sign-in/")[1].split()[0]
        assert secret not in database.read_sync(every_row)
        assert database.read_sync(check_sign_in_link, secret) == "password"
        old = await desk.by_password("local.joe", PASSWORD, HERE)
        entry = database.write_sync(redeem_sign_in_link, secret)
        assert entry.step == "password"
        fresh = await desk.pending_password(entry.secret, OTHER, HERE)
        assert database.read_sync(find_session, fresh.secret).actor.id == joe.id
        with pytest.raises(Unauthenticated):
            database.read_sync(find_session, old.secret)
        assert await refusal(desk, "local.joe", PASSWORD) == ("wrong-password", 0)
        with pytest.raises(Unauthenticated):
            database.write_sync(redeem_sign_in_link, secret)
        desk.forgot("joe@example.org", HERE)
        await desk.forgotten.serve_one()
        later = text_of(box).split("/sign-in/")[1].split()[0]
        clock.advance(PASSWORD_LINK_SECONDS)
        with pytest.raises(Unauthenticated):
            database.write_sync(redeem_sign_in_link, later)


async def test_nobody_who_has_no_such_address_is_mailed_and_nobody_is_flooded(
    database: Database, vault: Vault, joe: Actor
) -> None:
    with mailbox() as box:
        desk = mailing(database, vault, box)
        for email in ("nobody@example.org", "", "local.joe", *["joe@example.org"] * (MOST_LINKS + 2)):
            desk.forgot(email, HERE)
            await desk.forgotten.serve_one()
        assert box.count == MOST_LINKS


async def test_mail_that_is_not_taken_is_told_in_the_log_without_the_link(
    database: Database, vault: Vault, joe: Actor, caplog: pytest.LogCaptureFixture
) -> None:
    with mailbox() as box:
        desk = mailing(database, vault, box)
    desk.forgot("joe@example.org", HERE)
    await desk.forgotten.serve_one(pause=0)
    assert "a new password of local.joe was given up" in caplog.text
    assert "/sign-in/" not in caplog.text


async def test_a_lost_administrator_is_let_in_again(
    database: Database, root: Actor, vault: Vault, desk: SignInDesk, clock: ManualClock
) -> None:
    await desk.set_password(root, root.id, PASSWORD, must_change=False)
    with_device(database, vault, root.id, clock)
    for _ in range(6):
        await refusal(desk, "local.root", OTHER)
    done = database.write_sync(reset_sign_in, "local.root", password=False)
    entry = database.write_sync(redeem_sign_in_link, done.path.rpartition("/")[2])
    assert database.read_sync(find_session, entry.secret).actor.administrator
    assert (await desk.by_password("local.root", PASSWORD, HERE)).step == "session"
    done = database.write_sync(reset_sign_in, "root", password=True)
    with pytest.raises(Unauthenticated):
        database.read_sync(find_session, entry.secret)
    assert await refusal(desk, "local.root", PASSWORD) == ("wrong-password", 0)
    entry = database.write_sync(redeem_sign_in_link, done.path.rpartition("/")[2])
    assert (await desk.pending_password(entry.secret, OTHER, HERE)).step == "session"
    stored = database.read_sync(every_row)
    assert "operator of the machine" in stored
    assert done.path.rpartition("/")[2] not in stored
    with pytest.raises(DaisError) as caught:
        database.write_sync(reset_sign_in, "nobody", password=False)
    assert caught.value.code == "no-such-user"
