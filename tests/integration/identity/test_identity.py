"""Who there is, who may do what, and tokens; on both databases."""

from __future__ import annotations

import pytest

from dais.identity import (
    ACTIONS,
    Account,
    Actor,
    Bootstrapped,
    authenticate,
    bootstrap,
    create_account,
    create_token,
    create_user,
    get_account,
    get_user,
    grant_account,
    list_accounts,
    present,
    require,
    resolve_account,
    revoke_secret,
    revoke_token,
    touch_tokens,
    urn,
    user_names,
    visible,
)
from dais.identity.bootstrap import user_name
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Conflict, DaisError, Forbidden, Invalid, NotFound, Unauthenticated


@pytest.fixture
def ann(database: Database) -> Actor:
    """The administrator of a new installation."""
    made: Bootstrapped = database.write_sync(bootstrap, "Ann.Smith")
    return actor(database, made.token.secret)


def actor(database: Database, secret: str) -> Actor:
    found: Actor = database.read_sync(authenticate, secret).actor
    return found


def member(database: Database, administrator: Actor, name: str) -> Actor:
    user = database.write_sync(create_user, administrator, name)
    return actor(database, database.write_sync(create_token, administrator, user_id=user.id).secret)


def account(database: Database, administrator: Actor, name: str, parent: Account | None = None) -> Account:
    made: Account = database.write_sync(create_account, administrator, name, parent.id if parent else None)
    return made


def test_the_first_start_makes_an_administrator_once(database: Database) -> None:
    made: Bootstrapped = database.write_sync(bootstrap, "Ann.Smith")
    assert made.account == "local.ann-smith"
    found = actor(database, made.token.secret)
    assert (found.name, found.number, found.organization, found.administrator) == ("ann-smith", 1, "local", True)
    assert database.write_sync(bootstrap, "joe") is None


@pytest.mark.parametrize(
    "login, name",
    [
        ("joe", "joe"),
        ("Joe.Smith", "joe-smith"),
        ("DOMAIN\\joe", "domain-joe"),
        ("__x", "x"),
        ("Ärger", "rger"),
        ("éé", "admin"),
    ],
)
def test_logins_become_names(login: str, name: str) -> None:
    assert user_name(login) == name


def test_secrets_are_stored_as_hashes_only(database: Database, ann: Actor) -> None:
    from sqlalchemy import select

    from dais.identity.tables import tokens
    from dais.kit.database import Statement

    secret = database.write_sync(create_token, ann, label="laptop").secret
    rows = database.read_sync(lambda uow: uow.all(Statement(select(tokens))))
    assert rows
    assert not [row for row in rows if secret in map(str, row) or secret.rpartition("_")[2] in map(str, row)]


def test_tokens_are_told_apart(database: Database, ann: Actor) -> None:
    secrets = {database.write_sync(create_token, ann).secret for _ in range(50)}
    assert len(secrets) == 50
    assert all(len(secret) == len("dais_user_") + 43 for secret in secrets)


@pytest.mark.parametrize("secret", ["", "dais_user_", "dais_user_" + "x" * 43, "\ud800", "x" * 10_000])
def test_an_unknown_token_is_refused(database: Database, ann: Actor, secret: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        database.read_sync(authenticate, secret)
    assert caught.value.code == "token-unknown"
    assert secret[:20] not in caught.value.message or not secret


def test_a_token_ends_by_expiry_and_by_revocation(database: Database, ann: Actor, clock: ManualClock) -> None:
    token = database.write_sync(create_token, ann, expires_at=clock.now() + 1_000_000)
    holder = actor(database, token.secret)
    assert database.read_sync(present, holder) == holder
    clock.advance(1)
    with pytest.raises(Unauthenticated, match="expired"):
        database.read_sync(present, holder)
    with pytest.raises(Unauthenticated, match="expired at 20"):
        actor(database, token.secret)

    token = database.write_sync(create_token, ann)
    holder = actor(database, token.secret)
    database.write_sync(revoke_token, ann, token.id)
    database.write_sync(revoke_token, ann, token.id)
    with pytest.raises(Unauthenticated, match="revoked"):
        database.read_sync(present, holder)
    with pytest.raises(Unauthenticated, match="revoked at 20"):
        actor(database, token.secret)


def test_a_token_that_was_seen_is_revoked_whoever_saw_it(database: Database, ann: Actor) -> None:
    secret = database.write_sync(create_token, ann).secret
    assert database.write_sync(revoke_secret, secret, "in-address")
    assert not database.write_sync(revoke_secret, secret, "in-address")
    assert not database.write_sync(revoke_secret, "dais_user_" + "x" * 43, "in-address")
    with pytest.raises(Unauthenticated):
        actor(database, secret)


def test_a_wrong_expiry_or_kind_is_refused(database: Database, ann: Actor, clock: ManualClock) -> None:
    with pytest.raises(Invalid, match="future"):
        database.write_sync(create_token, ann, expires_at=clock.now())
    with pytest.raises(Invalid, match="root"):
        database.write_sync(create_token, ann, kind="root")


def test_other_peoples_tokens_are_the_administrators_to_make_and_end(database: Database, ann: Actor) -> None:
    joe = member(database, ann, "joe")
    token = database.write_sync(create_token, ann)
    with pytest.raises(Forbidden):
        database.write_sync(create_token, joe, user_id=ann.id)
    with pytest.raises(NotFound):
        database.write_sync(revoke_token, joe, token.id)
    own = database.write_sync(create_token, joe)
    database.write_sync(revoke_token, ann, own.id)


def test_uses_are_noted(database: Database, ann: Actor) -> None:
    from sqlalchemy import select

    from dais.identity.tables import tokens
    from dais.kit.database import Statement

    assert ann.token_id is not None
    database.write_sync(touch_tokens, {ann.token_id: 123, "nobody": 5})
    rows = database.read_sync(lambda uow: uow.all(Statement(select(tokens.c.id, tokens.c.last_used_at))))
    assert {row.id: row.last_used_at for row in rows} == {ann.token_id: 123}


def test_a_grant_covers_what_lies_below_and_nothing_else(database: Database, ann: Actor) -> None:
    joe = member(database, ann, "joe")
    lab = account(database, ann, "lab")
    vision = account(database, ann, "vision", lab)
    deep = account(database, ann, "deep", vision)
    other = account(database, ann, "vision")
    database.write_sync(grant_account, ann, vision.id, joe.id)
    database.write_sync(grant_account, ann, vision.id, joe.id)
    allowed = {joe.account_id, vision.id, deep.id}
    assert {one.id for one in database.read_sync(list_accounts, joe).items} == allowed
    for one in (lab.id, vision.id, deep.id, other.id, joe.account_id, ann.account_id):
        if one in allowed:
            database.read_sync(require, joe, "job:new", account_id=one)
        else:
            with pytest.raises(Forbidden, match="joe may not job:new"):
                database.read_sync(require, joe, "job:new", account_id=one)


def test_what_belongs_to_nobody_is_the_administrators(database: Database, ann: Actor) -> None:
    joe = member(database, ann, "joe")
    database.read_sync(require, ann, "group:set")
    with pytest.raises(Forbidden, match="administrator"):
        database.read_sync(require, joe, "group:set")
    assert database.read_sync(visible, ann, "job:list").everything
    for verb in (create_user, create_account):
        with pytest.raises(Forbidden):
            database.write_sync(verb, joe, "eve")
    with pytest.raises(Forbidden):
        database.write_sync(grant_account, joe, ann.account_id, joe.id)


def test_a_mistyped_action_is_the_programs_fault(database: Database, ann: Actor) -> None:
    assert "job:exec" in ACTIONS
    for verb in (require, visible):
        with pytest.raises(ValueError, match="job:destroy"):
            database.read_sync(verb, ann, "job:destroy")


def test_accounts_are_found_by_every_name(database: Database, ann: Actor) -> None:
    lab = account(database, ann, "lab")
    vision = account(database, ann, "vision", lab)
    for name in (vision.id, "local.lab.vision", "lab.vision"):
        assert database.read_sync(resolve_account, ann, name) == vision
    assert database.read_sync(resolve_account, ann, None).full_name == "local.ann-smith"
    assert database.read_sync(get_account, vision.id) == vision
    assert (vision.parent_id, vision.organization) == (lab.id, "local")


def test_an_account_that_may_not_be_seen_is_not_there(database: Database, ann: Actor) -> None:
    joe = member(database, ann, "joe")
    account(database, ann, "lab")
    errors: list[DaisError] = []
    for name in ("local.lab", "lab", "local.nothing"):
        with pytest.raises(NotFound) as caught:
            database.read_sync(resolve_account, joe, name)
        errors.append(caught.value)
    assert {error.code for error in errors} == {"no-such-account"}
    with pytest.raises(NotFound, match=r"did you mean local\.joe\?"):
        database.read_sync(resolve_account, joe, "jo")


def test_accounts_are_listed_by_pages(database: Database, ann: Actor) -> None:
    for number in range(5):
        account(database, ann, f"a{number}")
    names, cursor = [], None
    while True:
        page = database.read_sync(list_accounts, ann, limit=2, cursor=cursor)
        names += [found.full_name for found in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert names == [*(f"local.a{number}" for number in range(5)), "local.ann-smith"]


def test_an_account_is_made_once(database: Database, ann: Actor) -> None:
    lab = account(database, ann, "lab")
    with pytest.raises(Conflict, match=r"local\.lab already"):
        account(database, ann, "lab")
    account(database, ann, "lab", lab)


@pytest.mark.parametrize("name", ["", "Lab", "a b", "a\n", "-a", "a.b", "a" * 64, "é", "<b>", "a\0"])
def test_a_bad_name_is_refused(database: Database, ann: Actor, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        account(database, ann, name)
    assert caught.value.code == "bad-name"


def test_accounts_are_not_nested_without_end(database: Database, ann: Actor) -> None:
    parent = account(database, ann, "x")
    for _ in range(11):
        parent = account(database, ann, "x", parent)
    with pytest.raises(Invalid, match="too deep"):
        account(database, ann, "x", parent)


def test_users_have_numbers_and_names(database: Database, ann: Actor) -> None:
    joe, eve = member(database, ann, "joe"), member(database, ann, "eve")
    assert [ann.number, joe.number, eve.number] == [1, 2, 3]
    assert database.read_sync(user_names, {joe.id, eve.id, "nobody"}) == {joe.id: "joe", eve.id: "eve"}
    assert database.read_sync(user_names, set()) == {}
    assert database.read_sync(get_user, joe.id).name == "joe"
    with pytest.raises(NotFound):
        database.read_sync(get_user, "nobody")
    with pytest.raises(Conflict):
        member(database, ann, "joe")


def test_urns() -> None:
    assert urn("o") == "o"
    assert urn("o", None, "user", "u") == "o:user:u"
    assert urn("o", "a") == "o:account:a"
    assert urn("o", "a", "job", "x*y:z%") == "o:account:a:job:x%2Ay%3Az%25"
