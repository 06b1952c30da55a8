"""Metadata of users, who lie in no account, and of container images."""

from __future__ import annotations

import pytest

from dais.compute import IMAGE
from dais.compute.groups.commands import register_group
from dais.compute.images.changes import enter_image
from dais.identity import Actor, authenticate, create_organization, create_token, create_user
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import Forbidden, Invalid, NotFound
from dais.provenance import USER, count_found, get_meta, sweep_meta, update_meta
from dais.wire.meta import Condition
from dais.wire.references import parse_reference
from tests.integration.provenance.test_meta import ann, described, found, user, value

__all__ = ["ann"]


def test_users_are_found_in_the_organization_of_the_account(database: Database, ann: Actor) -> None:
    bob = user(database, ann, "bob", f"account:get@{ann.organization_id}:account:*")
    for one, team in ((ann, "blue"), (bob, "red")):
        database.write_sync(update_meta, ann, USER, one.name, tags=["member"], values={"team": team})
    assert found(database, ann, Condition(op="tag", value="member"), kind=USER, order="_id") == ["ann", "bob"]
    assert found(database, ann, value("team", "red"), kind=USER) == ["bob"]
    assert found(database, ann, value("__state__", "active"), value("__full_path__", "^b", "~"), kind=USER) == ["bob"]
    told = described(database, ann, bob.id, USER)
    assert (told.ref, told.account, told.values, told.tags) == ("bob", "local", {"team": "red"}, ("member",))
    assert (told.system["__number__"], "__creator_id__" in told.system) == (bob.number, False)
    elsewhere = database.write_sync(create_organization, ann, "far")
    people = database.write_sync(create_user, ann, "zoe", organization_id=elsewhere.id)
    database.write_sync(update_meta, ann, USER, people.id, tags=["member"])
    assert found(database, ann, Condition(op="tag", value="member"), kind=USER, order="_id") == ["ann", "bob"]
    assert database.read_sync(count_found, ann, USER, [Condition(op="tag", value="member")]) == 2
    assert database.write_sync(sweep_meta, [USER], "") is None
    assert described(database, ann, "bob", USER).tags == ("member",)


def test_who_may_not_see_users_finds_none_and_changes_none(database: Database, ann: Actor) -> None:
    place = f"{ann.organization_id}:user"
    database.write_sync(update_meta, ann, USER, "ann", values={"team": "blue"})
    eve = user(database, ann, "eve", f"user:get@{place}:{ann.id}")
    narrow = database.write_sync(create_token, eve, narrowed=[f"user:get@{place}:{eve.id}"])
    shut: Actor = database.read_sync(authenticate, narrow.secret).actor
    assert "ann" in found(database, eve, value("team", "blue"), kind=USER)
    assert found(database, shut, value("team", "blue"), kind=USER) == []
    with pytest.raises(Forbidden):
        database.write_sync(update_meta, eve, USER, "ann", tags=["mine"])
    with pytest.raises(NotFound):
        database.read_sync(get_meta, shut, USER, ["ann"])


def test_images_of_accounts_have_metadata(database: Database, ann: Actor) -> None:
    def enter(uow: UnitOfWork, account: str | None, name: str) -> str:
        reference = parse_reference(f"example.org/{name}:1")
        return str(enter_image(uow, "boxes", account, str(reference), ann.id, origin="registered", name=name).id)

    database.write_sync(register_group, "boxes", "docker", "")
    made = database.write_sync(enter, ann.account_id, "torch")
    database.write_sync(enter, None, "shared")
    database.write_sync(update_meta, ann, IMAGE, "boxes/torch", tags=["gpu"], values={"cuda": 12.4})
    assert found(database, ann, value("cuda", 12, ">"), kind=IMAGE) == ["boxes/torch"]
    assert found(database, ann, value("__reference__", "example", "~"), kind=IMAGE) == ["boxes/torch"]
    one = described(database, ann, made, IMAGE)
    assert (one.ref, one.tags, one.system["__group__"]) == ("boxes/torch", ("gpu",), "boxes")
    for ref, error in (("boxes/shared", Invalid), ("torch", Invalid), ("boxes/none", NotFound)):
        with pytest.raises(error):
            database.write_sync(update_meta, ann, IMAGE, ref, tags=["x"])
    eve = user(database, ann, "eve", f"account:get@{ann.organization_id}:account:*")
    with pytest.raises((NotFound, Forbidden)):
        database.read_sync(get_meta, eve, IMAGE, [made])
