"""Folders as rows: names, permissions, what is seen by whom, mounts; and tidying up."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dais.compute import jobs_mounting
from dais.data import (
    DataSettings,
    Folder,
    FolderStore,
    create_folder,
    find_mount,
    get_folder,
    list_folders,
    publish_folder,
    remove_folder,
    tidy,
)
from dais.identity import Actor, authenticate, bootstrap, create_token, create_user
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Conflict, DaisError, Forbidden, Invalid, NotFound
from dais.kit.ids import new_id
from dais.wire.spec import Mount
from tests.support.world import World, running


@pytest.fixture
def ann(database: Database) -> Actor:
    """The administrator."""
    made = database.write_sync(bootstrap, "ann")
    assert made is not None
    actor: Actor = database.read_sync(authenticate, made.token.secret).actor
    return actor


def user(database: Database, ann: Actor, name: str) -> Actor:
    made = database.write_sync(create_user, ann, name)
    token = database.write_sync(create_token, ann, user_id=made.id)
    actor: Actor = database.read_sync(authenticate, token.secret).actor
    return actor


def new(database: Database, actor: Actor, name: str, account: str | None = None, staging: str | None = None) -> Folder:
    made: Folder = database.write_sync(create_folder, actor, new_id(), name, account=account, staging=staging)
    return made


def test_a_folder_is_found_by_all_its_names(database: Database, ann: Actor) -> None:
    made = new(database, ann, "digits")
    hidden = new(database, ann, ".ssh")
    assert (made.full_name, hidden.full_name) == ("local.ann.digits", "local.ann./.ssh")
    for ref in (made.id, "digits", "local.ann.digits", "ann.digits"):
        assert database.read_sync(get_folder, ann, ref) == made
    for ref in (".ssh", "local.ann./.ssh"):
        assert database.read_sync(get_folder, ann, ref) == hidden
    with pytest.raises(NotFound, match="did you mean digits"):
        database.read_sync(get_folder, ann, "digts")
    with pytest.raises(NotFound):
        database.read_sync(get_folder, ann, "local.nobody.digits")


def test_names_are_unique_while_the_folder_lives(database: Database, ann: Actor) -> None:
    first = new(database, ann, "digits")
    with pytest.raises(Conflict) as refused:
        new(database, ann, "digits")
    assert refused.value.code == "folder-exists"
    database.write_sync(remove_folder, ann, "digits")
    with pytest.raises(NotFound):
        database.read_sync(get_folder, ann, first.id)
    assert new(database, ann, "digits").id != first.id


def test_a_branch_needs_its_folder_and_keeps_it(database: Database, ann: Actor) -> None:
    with pytest.raises(NotFound):
        new(database, ann, "code@next")
    new(database, ann, "code")
    new(database, ann, "c_de")
    branch = new(database, ann, "code@next")
    assert database.read_sync(get_folder, ann, "local.ann.code@next") == branch
    assert (
        database.read_sync(find_mount, ann, Mount(name="code@next", target="/x"), ann.account_id).folder_id == branch.id
    )
    database.write_sync(remove_folder, ann, "c_de")
    with pytest.raises(Conflict, match="code@next") as refused:
        database.write_sync(remove_folder, ann, "code")
    assert refused.value.code == "has-branches"
    database.write_sync(remove_folder, ann, "code@next")
    database.write_sync(remove_folder, ann, "code")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a.b", "..", "a\nb", "x" * 64, "<b>"])
def test_bad_names_are_refused(database: Database, ann: Actor, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        new(database, ann, name)
    assert refused.value.code == "bad-name"


def test_others_do_not_see_it(database: Database, ann: Actor) -> None:
    bob, eve = user(database, ann, "bob"), user(database, ann, "eve")
    made = new(database, bob, "private")
    assert database.read_sync(get_folder, ann, "local.bob.private").owner == "bob"
    for ref in (made.id, "local.bob.private"):
        with pytest.raises(NotFound):
            database.read_sync(get_folder, eve, ref)
    with pytest.raises(NotFound):
        database.write_sync(remove_folder, eve, made.id)
    with pytest.raises(DaisError):
        new(database, eve, "planted", "local.bob")
    assert database.read_sync(list_folders, eve).items == []
    assert [folder.id for folder in database.read_sync(list_folders, bob).items] == [made.id]
    with pytest.raises((Forbidden, NotFound)):
        database.read_sync(list_folders, eve, account="local.bob")


def test_lists_come_in_pages(database: Database, ann: Actor) -> None:
    bob = user(database, ann, "bob")
    for actor in (ann, bob):
        for number in range(5):
            new(database, actor, f"f{number}")
    seen: list[str] = []
    cursor = None
    while True:
        page = database.read_sync(list_folders, ann, limit=3, cursor=cursor)
        seen += [folder.full_name for folder in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(f"local.{name}.f{number}" for name in ("ann", "bob") for number in range(5))
    assert len(database.read_sync(list_folders, ann, account="local.bob").items) == 5


def test_a_staged_folder_is_its_makers_secret(database: Database, ann: Actor) -> None:
    bob = user(database, ann, "bob")
    staged = new(database, bob, "data", staging="upload 1")
    assert staged.staged
    assert new(database, bob, "data", staging="upload 1").id == staged.id, "it goes on"
    other = new(database, bob, "data", staging="upload 2")
    assert other.id != staged.id
    assert database.read_sync(list_folders, bob).items == []
    for actor, ref in ((bob, "data"), (ann, staged.id)):
        with pytest.raises(NotFound):
            database.read_sync(get_folder, actor, ref)
    published = database.write_sync(publish_folder, bob, staged.id)
    assert database.write_sync(publish_folder, bob, staged.id) == published
    assert database.read_sync(get_folder, bob, "data") == published
    with pytest.raises(Conflict) as refused:
        database.write_sync(publish_folder, bob, other.id)
    assert refused.value.code == "folder-exists"


def test_mounts_need_what_they_do(database: Database, ann: Actor) -> None:
    bob, eve = user(database, ann, "bob"), user(database, ann, "eve")
    made = new(database, bob, "data")
    mount = Mount(name="data", target="/data", path="./a//b/", read_only=True)
    found = database.read_sync(find_mount, bob, mount, bob.account_id)
    assert (found.folder_id, found.path, found.read_only) == (made.id, "a/b", True)
    writing = Mount(name=made.id, target="/data")
    assert not database.read_sync(find_mount, bob, writing, bob.account_id).read_only
    with pytest.raises(NotFound):
        database.read_sync(find_mount, eve, writing, eve.account_id)
    for path in ("..", "a/../../b", "/etc"):
        with pytest.raises(Invalid):
            database.read_sync(find_mount, bob, Mount(name="data", target="/data", path=path), bob.account_id)


@pytest.mark.anyio
async def test_tidying_finishes_what_crashes_left(
    database: Database, ann: Actor, clock: ManualClock, tmp_path: Path
) -> None:
    store = FolderStore(tmp_path / "folders")
    kept, removed, staged = (
        new(database, ann, name, staging=text) for name, text in (("a", None), ("b", None), ("c", "x"))
    )
    orphan = new_id()
    for folder_id in (kept.id, removed.id, staged.id, orphan):
        store.create(folder_id)
        (store.root / folder_id / "file").write_text("x")
    with store.aside(kept.id) as aside:
        os.close(os.open("pieces", os.O_CREAT | os.O_WRONLY, dir_fd=aside))
    database.write_sync(remove_folder, ann, "b")

    await tidy(database, store, DataSettings())
    assert (store.root / orphan).exists(), "its row may be about to be written"

    clock.advance(25 * 3600)
    await tidy(database, store, DataSettings())
    ids = set(database.read_sync(lambda uow: {f.id for f in list_folders(uow, ann).items}))
    assert ids == {kept.id}
    store.sweep({kept.id}, unfinished_seconds=24 * 3600, now=time.time() + 25 * 3600)
    assert {path.name for path in store.root.iterdir()} == {kept.id, ".partial", ".trash"}
    assert list((store.root / ".trash").iterdir()) == []
    assert list((store.root / ".partial" / kept.id).iterdir()) == []
    assert (store.root / kept.id / "file").read_text() == "x"


@pytest.mark.anyio
async def test_jobs_hold_their_folders_until_they_end(database: Database, clock: ManualClock, tmp_path: Path) -> None:
    world = World(database, clock, tmp_path)
    held = await database.write(create_folder, world.actor, new_id(), "held")
    other = await database.write(create_folder, world.actor, new_id(), "other")
    world.folders.create(held.id)
    async with running(world):
        job = await world.submit("sleep-forever", data=(Mount(name="held", target="/data"),))
        assert await database.read(jobs_mounting, held.id) == [job]
        assert await database.read(jobs_mounting, other.id) == []
        await world.kill(job)
        await world.finished(job)
    assert await database.read(jobs_mounting, held.id) == []
