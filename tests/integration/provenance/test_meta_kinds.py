"""Metadata of users, who lie in no account, and of images, some of which are the installation's."""

from __future__ import annotations

import pytest

from dais.compute import IMAGE
from dais.compute.groups.commands import register_group
from dais.compute.images.changes import enter_image
from dais.compute.images.commands import add_image, remove_image
from dais.engines.contract import RootFacts
from dais.identity import Actor, authenticate, create_organization, create_token, create_user
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import Forbidden, Invalid, NotFound
from dais.provenance import USER, count_found, delete_meta, find, get_meta, sweep_meta, update_meta
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


def enter(uow: UnitOfWork, actor: Actor, account: str | None, name: str) -> str:
    """A container image of an account, or of the installation; its id."""
    reference = str(parse_reference(f"example.org/{name}:1"))
    return str(enter_image(uow, "boxes", account, reference, actor.id, origin="registered", name=name).id)


def add_root(database: Database, actor: Actor, name: str) -> None:
    database.write_sync(add_image, actor, "here", name, f"/srv/{name}", RootFacts(system="Debian"))


@pytest.fixture
def images(database: Database, ann: Actor) -> str:
    """A container image of ann's account, one of the installation, and a root directory; the id of the first."""
    database.write_sync(register_group, "boxes", "docker", "")
    database.write_sync(register_group, "here", "local", "host")
    made: str = database.write_sync(enter, ann, ann.account_id, "torch")
    database.write_sync(enter, ann, None, "shared")
    add_root(database, ann, "debian")
    return made


def test_images_have_metadata(database: Database, ann: Actor, images: str) -> None:
    database.write_sync(update_meta, ann, IMAGE, "boxes/torch", tags=["gpu"], values={"cuda": 12.4})
    assert found(database, ann, value("cuda", 12, ">"), kind=IMAGE) == ["boxes/torch"]
    assert found(database, ann, value("__reference__", "torch", "~"), kind=IMAGE) == ["boxes/torch"]
    one = described(database, ann, images, IMAGE)
    assert (one.ref, one.account, one.tags) == ("boxes/torch", f"local.{ann.name}", ("gpu",))
    assert one.system["__group__"] == "boxes"
    for ref, error in (("torch", Invalid), ("boxes/none", NotFound), ("here/none", NotFound), ("none/a", NotFound)):
        with pytest.raises(error):
            database.write_sync(update_meta, ann, IMAGE, ref, tags=["x"])


def test_images_of_everybody_are_found_beside_ones_own(database: Database, ann: Actor, images: str) -> None:
    for place, ref in enumerate(("boxes/torch", "boxes/shared", "here/debian")):
        database.write_sync(update_meta, ann, IMAGE, ref, tags=["good"], values={"rank": place, "os": f"linux-{place}"})
    root = described(database, ann, "here/debian", IMAGE)
    assert (root.account, root.values["rank"], root.system["__state__"]) == ("installation", 2, "there")
    assert "/srv" not in str(root.system), "where it lies is nobody's business"
    assert found(database, ann, value("os", "^linux", "~"), kind=IMAGE, order="rank") == [
        "boxes/torch",
        "boxes/shared",
        "here/debian",
    ]
    assert found(database, ann, Condition(key="rank", op="max"), kind=IMAGE) == ["here/debian"]
    # Who has another account sees what is everybody's, may not write it, and sees nothing of ann's.
    eve = user(database, ann, "eve", f"account:get@{ann.organization_id}:account:*")
    good = Condition(op="tag", value="good")
    assert found(database, eve, good, kind=IMAGE, order="-rank") == ["here/debian", "boxes/shared"]
    assert found(database, eve, good, kind=IMAGE, order="_id") == ["boxes/shared", "here/debian"]
    assert found(database, eve, value("__group__", "^b", "~"), kind=IMAGE) == ["boxes/shared"]
    assert database.read_sync(count_found, eve, IMAGE, [good]) == 2
    assert described(database, eve, "here/debian", IMAGE).tags == ("good",)
    for ref in ("here/debian", "boxes/shared"):
        with pytest.raises(Forbidden):
            database.write_sync(update_meta, eve, IMAGE, ref, tags=["mine"])
        with pytest.raises(Forbidden):
            database.write_sync(delete_meta, eve, IMAGE, ref, tags=["good"])
    with pytest.raises((NotFound, Forbidden)):
        database.read_sync(get_meta, eve, IMAGE, [images])


def test_who_may_see_one_image_finds_that_alone(database: Database, ann: Actor, images: str) -> None:
    for ref in ("boxes/torch", "boxes/shared", "here/debian"):
        database.write_sync(update_meta, ann, IMAGE, ref, tags=["good"])
    good = Condition(op="tag", value="good")
    for statement, seen in (
        ("image:get@installation:image:here/debian", ["here/debian"]),
        ("image:get@installation:image:boxes/*", ["boxes/shared"]),
        (f"image:get@{ann.organization_id}:account:{ann.account_id}:image:{images}", ["boxes/torch"]),
    ):
        narrow = database.write_sync(create_token, ann, narrowed=[statement, "account:get@*"])
        narrowed: Actor = database.read_sync(authenticate, narrow.secret).actor
        assert found(database, narrowed, good, kind=IMAGE) == seen
    nothing = database.write_sync(create_token, ann, narrowed=["account:get@*"])
    shut: Actor = database.read_sync(authenticate, nothing.secret).actor
    with pytest.raises(Forbidden):
        database.read_sync(find, shut, IMAGE, [good])


def test_a_root_directory_that_is_registered_again_begins_without_metadata(
    database: Database, ann: Actor, images: str
) -> None:
    database.write_sync(update_meta, ann, IMAGE, "here/debian", tags=["old"])
    assert database.write_sync(sweep_meta, [IMAGE], "") is None
    assert described(database, ann, "here/debian", IMAGE).tags == ("old",), "what is there is not swept"
    database.write_sync(remove_image, ann, "here", "debian")
    add_root(database, ann, "debian")
    assert described(database, ann, "here/debian", IMAGE).tags == ()
    assert found(database, ann, Condition(op="tag", value="old"), kind=IMAGE) == []
