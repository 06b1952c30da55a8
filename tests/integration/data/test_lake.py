"""Versions of files, file sets made of them, who may do what with them, and what is kept for them."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dais.compute.retention.blobs import collect_blobs
from dais.data import (
    BlobStore,
    CommittedFile,
    Directory,
    LakeFile,
    SetVersion,
    begin_session,
    commit_files,
    commit_session,
    compare_file_sets,
    create_file_set,
    end_session,
    get_file,
    get_file_set,
    list_directory_files,
    list_file_set_files,
    list_file_set_versions,
    list_file_sets,
    list_file_versions,
    note_content,
    remove_file,
    remove_file_set,
)
from dais.data.hashing import digest_of
from dais.identity import Actor, authenticate, bootstrap, create_policy, create_token, create_user
from dais.kit.database import Database, open_database
from dais.kit.errors import Conflict, Forbidden, Invalid, NotFound
from dais.wire.lake import NewVersion

DAY = 25 * 3600.0


@pytest.fixture
def ann(database: Database) -> Actor:
    """The administrator."""
    made = database.write_sync(bootstrap, "ann")
    assert made is not None
    actor: Actor = database.read_sync(authenticate, made.token.secret).actor
    return actor


def user(database: Database, ann: Actor, name: str, *statements: str) -> Actor:
    """Somebody who may do these."""
    made = database.write_sync(create_user, ann, name)
    if statements:
        database.write_sync(create_policy, ann, "user", made.id, list(statements))
    token = database.write_sync(create_token, ann, user_id=made.id)
    actor: Actor = database.read_sync(authenticate, token.secret).actor
    return actor


def new(path: str, content: str = "", *, executable: bool = False) -> NewVersion:
    data = content.encode()
    return NewVersion(path=path, digest=digest_of(data), size=len(data), executable=executable)


def commit(
    database: Database, actor: Actor, *files: NewVersion, account: str | None = None, always: bool = False
) -> list[CommittedFile]:
    done: list[CommittedFile] = database.write_sync(commit_files, actor, account, files, always=always)
    return done


def made(database: Database, actor: Actor, name: str, *entities: str, force: bool = False) -> SetVersion:
    found: SetVersion = database.write_sync(create_file_set, actor, name, entities, force=force)
    return found


def names(items: list[LakeFile | Directory]) -> list[str]:
    return [one.path if isinstance(one, Directory) else one.name for one in items]


def test_versions_count_up_and_unchanged_content_makes_none(database: Database, ann: Actor) -> None:
    (first,) = commit(database, ann, new("/a.txt", "one"))
    (same,) = commit(database, ann, new("a.txt", "one"))
    (second,) = commit(database, ann, new("/a.txt", "two"))
    (asked,) = commit(database, ann, new("/a.txt", "two"), always=True)
    (bit,) = commit(database, ann, new("/a.txt", "two", executable=True))
    assert [(one.version, one.new) for one in (first, same, second, asked, bit)] == [
        (1, True), (1, False), (2, True), (3, True), (4, True),
    ]  # fmt: skip
    assert same.id == first.id
    assert database.read_sync(get_file, ann, "/a.txt").version == 4
    assert database.read_sync(get_file, ann, "/a.txt:1").digest == digest_of(b"one")
    page = database.read_sync(list_file_versions, ann, "/a.txt", limit=3)
    assert [file.version for file in page.items] == [4, 3, 2]
    rest = database.read_sync(list_file_versions, ann, "/a.txt", limit=3, cursor=page.cursor)
    assert ([file.version for file in rest.items], rest.cursor) == ([1], None)
    with pytest.raises(NotFound, match="the latest version is 4"):
        database.read_sync(get_file, ann, "/a.txt:9")
    with pytest.raises(NotFound, match=r"did you mean /a\.txt"):
        database.read_sync(get_file, ann, "/a.tx")


def test_a_commit_is_whole_or_nothing(database: Database, ann: Actor) -> None:
    commit(database, ann, new("/d/a", "one"))
    for wrong, code in (
        ([new("/ok"), new("/ok")], "path-twice"),
        ([new("/ok"), new("/d/../x")], "path-outside"),
        ([new("/ok"), new("/d")], "path-clash"),
        ([new("/ok"), new("/d/a/b")], "path-clash"),
        ([new("/ok"), new("/e"), new("/e/f")], "path-clash"),
        ([], "bad-commit"),
    ):
        with pytest.raises((Invalid, Conflict)) as refused:
            commit(database, ann, *wrong)
        assert refused.value.code == code
    assert names(database.read_sync(list_directory_files, ann).items) == ["/d/"]


def test_commits_at_once_give_consecutive_versions_and_lose_none(database: Database, ann: Actor) -> None:
    def several(number: int) -> list[CommittedFile]:
        # In the opposite order every other time: they must not wait for each other in a circle.
        paths = [f"/f{at}" for at in range(20)][:: 1 if number % 2 else -1]
        return commit(database, ann, *(new(path, f"{path} {number}") for path in paths))

    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(several, range(12)))
    for at in range(20):
        versions = sorted(one.version for files in done for one in files if one.path == f"/f{at}")
        assert versions == list(range(1, 13))
        assert database.read_sync(get_file, ann, f"/f{at}").version == 12


def test_no_name_is_a_file_and_a_directory_whoever_comes_first(
    database: Database, database_url: str, ann: Actor
) -> None:
    """Two servers on one database: of each pair one commit is refused, and never none."""
    other = open_database(database_url)
    barrier = threading.Barrier(2)

    def wins(one: Database, name: str) -> bool:
        barrier.wait(60)
        try:
            commit(one, ann, new(name))
        except Conflict:  # `path-clash`: there is no other
            return False
        return True

    def race(one: Database, names: list[str]) -> list[str]:
        return [name for name in names if wins(one, name)]

    try:
        with ThreadPoolExecutor(2) as threads:
            as_file = threads.submit(race, database, [f"/clash{number}" for number in range(40)])
            as_directory = threads.submit(race, other, [f"/clash{number}/inside" for number in range(40)])
        left = as_file.result() + [name.removesuffix("/inside") for name in as_directory.result()]
    finally:
        other.close()
    assert sorted(left) == sorted(f"/clash{number}" for number in range(40))


def test_directories_are_listed_page_by_page(database: Database, ann: Actor) -> None:
    commit(database, ann, *(new(path) for path in ("/z", "/a/1", "/a/b/2", "/a0", "/c/3", "/a.b/4", "/ü/5")))
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = database.read_sync(list_directory_files, ann, "/", limit=2, cursor=cursor)
        assert len(page.items) <= 2
        found += names(page.items)
        cursor = page.cursor
        if cursor is None:
            break
    assert found == ["/a.b/", "/a/", "/c/", "/ü/", "/a0:1", "/z:1"]
    assert names(database.read_sync(list_directory_files, ann, "a").items) == ["/a/b/", "/a/1:1"]
    below = database.read_sync(list_directory_files, ann, "/a/", recursive=True, limit=1)
    assert names(below.items) == ["/a/1:1"]
    rest = database.read_sync(list_directory_files, ann, "/a/", recursive=True, limit=1, cursor=below.cursor)
    assert (names(rest.items), rest.cursor) == (["/a/b/2:1"], None)
    database.write_sync(remove_file, ann, "/c/3")
    assert "/c/" not in names(database.read_sync(list_directory_files, ann).items)
    with pytest.raises(NotFound, match="no directory"):
        database.read_sync(list_directory_files, ann, "/c/")


def test_file_sets_are_made_of_files_directories_and_sets(database: Database, ann: Actor) -> None:
    commit(database, ann, new("/d/a", "1"), new("/d/b", "1"), new("/x", "1"))
    commit(database, ann, new("/d/a", "22"))
    first = made(database, ann, "shakespeare.texts", "/d/")
    assert (first.version, first.files, first.size, first.new, first.made_by) == (1, 2, 3, True, "upload")
    assert made(database, ann, "shakespeare.texts", "/d/a:2", "/d/b").new is False
    both = made(database, ann, "both", "@shakespeare.texts:1", "/x")
    assert (both.files, both.parents) == (3, ("shakespeare.texts:1",))
    commit(database, ann, new("/d/b", "333"), new("/y", "1"))
    second = made(database, ann, "shakespeare.texts", "/d/a", "/d/b", "/y")
    assert second.version == 2
    changes = database.read_sync(compare_file_sets, ann, "both", "shakespeare.texts:2")
    assert [(one.change, one.path, one.size_before, one.size_after) for one in changes] == [
        ("changed", "/d/b", 1, 3),
        ("removed", "/x", 1, None),
        ("added", "/y", None, 1),
    ]
    page = database.read_sync(list_file_set_files, ann, "both", limit=2)
    assert [file.name for file in page.items] == ["/d/a:2", "/d/b:1"]
    assert [one.full_name for one in database.read_sync(list_file_sets, ann).items] == ["both:1", "shakespeare.texts:2"]
    versions = database.read_sync(list_file_set_versions, ann, "shakespeare.texts").items
    assert [one.version for one in versions] == [2, 1]
    with pytest.raises(NotFound, match="did you mean both"):
        database.read_sync(get_file_set, ann, "boht")


def test_two_versions_of_a_path_need_force(database: Database, ann: Actor) -> None:
    commit(database, ann, new("/a", "1"))
    made(database, ann, "old", "/a")
    commit(database, ann, new("/a", "2"))
    for entities in (("/a:1", "/a:2"), ("/a", "@old")):
        with pytest.raises(Conflict, match="versions") as refused:
            made(database, ann, "mixed", *entities)
        assert sorted(refused.value.fields["versions"]) == [1, 2]
    assert made(database, ann, "mixed", "@old", "/a", force=True).files == 1
    files = database.read_sync(list_file_set_files, ann, "mixed").items
    assert [file.version for file in files] == [2]
    assert made(database, ann, "mixed", "/a:1", "/a:1").version == 2  # twice the same is no conflict


def test_what_is_used_is_not_removed(database: Database, ann: Actor) -> None:
    commit(database, ann, new("/a", "1"))
    made(database, ann, "one", "/a:1")
    made(database, ann, "two", "@one:1")
    commit(database, ann, new("/a", "2"))
    for ref in ("/a:1", "/a"):
        with pytest.raises(Conflict, match="/a:1 is in the file sets one:1, two:1") as refused:
            database.write_sync(remove_file, ann, ref)
        assert refused.value.code == "in-use"
    assert database.write_sync(remove_file, ann, "/a:2") == 1
    assert database.read_sync(get_file, ann, "/a").version == 1
    (third,) = commit(database, ann, new("/a", "3"))
    assert third.version == 3  # the number of what was removed does not return
    with pytest.raises(Conflict, match="used to make two:1") as refused:
        database.write_sync(remove_file_set, ann, "one")
    assert refused.value.code == "in-use"
    assert database.write_sync(remove_file_set, ann, "two:1") == 1
    assert database.write_sync(remove_file_set, ann, "one") == 1
    assert database.write_sync(remove_file, ann, "/a") == 2
    with pytest.raises(NotFound):
        database.read_sync(get_file, ann, "/a")
    assert database.read_sync(list_file_sets, ann).items == []


def test_a_policy_can_name_a_part_of_the_paths(database: Database, ann: Actor) -> None:
    place = f"{ann.organization_id}:account:{ann.account_id}"
    commit(database, ann, new("/mine/a", "1"), new("/mine/x y:z", "1"), new("/other/b", "1"))
    made(database, ann, "mine", "/mine/a")
    made(database, ann, "other", "/other/b")
    joe = user(
        database,
        ann,
        "joe",
        f"account:get@{place}",
        f"file:get+file:new@{place}:file:/mine/*",
        f"fileset:get+fileset:new@{place}:fileset:m*",
    )
    account = "local.ann"
    assert names(database.read_sync(list_directory_files, joe, account=account).items) == ["/mine/"]
    inside = database.read_sync(list_directory_files, joe, "/mine/", account=account).items
    assert names(inside) == ["/mine/a:1", "/mine/x y:z:1"]
    assert database.read_sync(get_file, joe, "/mine/x y:z", account=account).version == 1
    for path in ("/other/b", "/other/none", "/mine/none"):
        with pytest.raises(NotFound):
            database.read_sync(get_file, joe, path, account=account)
    assert commit(database, joe, new("/mine/c", "1"), account=account)[0].new
    with pytest.raises(Forbidden, match="file:new"):
        commit(database, joe, new("/mine/d", "1"), new("/other/c", "1"), account=account)
    with pytest.raises(Forbidden, match="file:rm"):
        database.write_sync(remove_file, joe, "/mine/a", account=account)
    assert [one.name for one in database.read_sync(list_file_sets, joe, account=account).items] == ["mine"]
    assert database.write_sync(create_file_set, joe, "more", ["/mine/"], account=account).files == 3
    with pytest.raises(Forbidden, match="fileset:new"):
        database.write_sync(create_file_set, joe, "own", ["/mine/"], account=account)
    for entities in (["/other/b"], ["/other/"], ["@other"]):
        with pytest.raises((Forbidden, NotFound)):
            database.write_sync(create_file_set, joe, "m2", entities, account=account)


def test_collection_spares_what_versions_need(database: Database, ann: Actor, tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    kept, old, lost = (blobs.put(text.encode()) for text in ("kept", "old", "lost"))
    commit(database, ann, new("/a", "old"))
    commit(database, ann, new("/a", "kept"))
    later = time.time() + DAY
    asyncio.run(collect_blobs(database, blobs, now=later))
    assert [blobs.has(digest) for digest in (kept, old, lost)] == [True, True, False]
    database.write_sync(remove_file, ann, "/a:1")
    asyncio.run(collect_blobs(database, blobs, now=time.time() + DAY))
    assert [blobs.has(digest) for digest in (kept, old)] == [True, False]


def test_a_session_that_two_finish_at_once_gives_each_file_one_version(database: Database, ann: Actor) -> None:
    for name in range(8):
        paths = [f"/twice/{name}/{number}" for number in range(5)]
        session = database.write_sync(begin_session, ann, None, paths)
        for number, path in enumerate(paths):
            database.write_sync(note_content, session, number, digest_of(path.encode()), len(path))
        together = threading.Barrier(2, timeout=60)

        def finish(session: str = session, together: threading.Barrier = together) -> tuple[list[str], list[str]]:
            together.wait()
            committed = database.write_sync(commit_session, ann, session)
            return committed, list(database.write_sync(end_session, ann, session).files)

        with ThreadPoolExecutor(2) as pool:
            answers = [one.result(60) for one in [pool.submit(finish), pool.submit(finish)]]
        expected = [f"{path}:1" for path in paths]
        assert answers == [(expected, expected)] * 2
        for path in paths:
            versions = database.read_sync(list_file_versions, ann, path, limit=10).items
            assert [one.version for one in versions] == [1]
