"""What is in folders: lists in pages, strange things, comparisons, removal."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dais.data import (
    FolderStore,
    compare,
    fetch,
    list_entries,
    measure,
    open_file,
    remove_entries,
    write_pack,
    write_piece,
)
from dais.data.hashing import digest_of
from dais.kit.errors import Conflict, Invalid, NotFound
from dais.wire.transfers import SMALL_FILE, Local, PackEntry, pack_header, unpack


def write(store: FolderStore, folder_id: str, *paths: str) -> None:
    data = b"content"
    header = (pack_header(PackEntry(path=path, size=len(data), digest=digest_of(data))) + data for path in paths)
    write_pack(store, folder_id, b"".join(header))


def paths_of(
    store: FolderStore, folder_id: str, path: str = "", *, recursive: bool = True, limit: int = 3
) -> list[str]:
    """Every path, read in small pages."""
    found: list[str] = []
    cursor = None
    while True:
        page = list_entries(store, folder_id, path, recursive=recursive, limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        found += [entry.path for entry in page.items]
        cursor = page.cursor
        if cursor is None:
            return found


def test_pages_hold_everything_once_and_in_order(store: FolderStore, folder_id: str) -> None:
    files = [f"{a}/{b}/{c}" for a in ("x", "x-y", "z") for b in ("1", "10", "2") for c in "ab"] + ["x.txt", "top"]
    write(store, folder_id, *files)
    everything = sorted(
        {*files, *(str(parent) for file in files for parent in Path(file).parents)} - {"."}, key=lambda p: p.split("/")
    )
    for limit in (1, 2, 3, 7, 1000):
        assert paths_of(store, folder_id, limit=limit) == everything
    assert paths_of(store, folder_id, recursive=False) == ["top", "x", "x-y", "x.txt", "z"]
    assert paths_of(store, folder_id, "x/10") == ["x/10/a", "x/10/b"]
    assert paths_of(store, folder_id, "x/10/a") == ["x/10/a"]
    for path in ("nope", "x/nope", "nope/nope"):
        with pytest.raises(NotFound):
            list_entries(store, folder_id, path)
    with pytest.raises(Conflict):
        list_entries(store, folder_id, "top/nope")
    with pytest.raises(Invalid):
        list_entries(store, folder_id, "", cursor="garbage!")


def test_strange_things_are_listed_and_never_opened(store: FolderStore, folder_id: str) -> None:
    """A pipe that nobody writes into would stop whoever opens it."""
    root = store.root / folder_id
    os.mkfifo(root / "pipe")
    os.mknod(root / "socket", stat.S_IFSOCK | 0o600)
    os.close(os.open(os.fsencode(root) + b"/caf\xe9", os.O_CREAT | os.O_WRONLY))
    (root / "loop").symlink_to("loop")
    kinds = {entry.path: entry.kind for entry in list_entries(store, folder_id, recursive=True).items}
    assert kinds == {"pipe": "other", "socket": "other", "caf\ufffd": "other", "loop": "link"}
    for path in ("pipe", "socket", "loop"):
        with pytest.raises(Conflict), open_file(store, folder_id, path):
            pass
    local = [Local(path=path, size=0, digest=digest_of(b"")) for path in ("pipe", "loop", "socket")]
    assert {found.state for found in compare(store, folder_id, local)} == {"different"}
    assert [entry.kind for entry, _ in unpack(b"".join(fetch(store, folder_id, ["pipe", "loop"])))] == ["absent"] * 2
    assert measure(store, folder_id).files == 0
    remove_entries(store, folder_id, "", recursive=True)
    assert list(root.iterdir()) == []


def test_comparisons_see_content_and_bits(store: FolderStore, folder_id: str) -> None:
    write(store, folder_id, "d/same", "d/bits", "d/content")
    digest = digest_of(b"content")
    local = [
        Local(path="d/same", size=7, digest=digest),
        Local(path="d/bits", size=7, digest=digest, executable=True),
        Local(path="d/content", size=7, digest=digest_of(b"CONTENT")),
        Local(path="d/size", size=7, digest=digest),
        Local(path="d", size=7, digest=digest),
        Local(path="no/such", size=7, digest=digest),
        Local(path="d/same/below", size=7, digest=digest),
    ]
    states = [found.state for found in compare(store, folder_id, local)]
    assert states == ["same", "different", "different", "absent", "different", "absent", "absent"]
    (store.root / folder_id / "d/same").write_bytes(b"changed")
    assert compare(store, folder_id, local[:1])[0].state == "different", "a job wrote into it"


def test_comparisons_tell_what_has_come(store: FolderStore, folder_id: str) -> None:
    data = os.urandom(SMALL_FILE + 5)
    digest = digest_of(data)
    write_piece(store, folder_id, "f", data[:1000], offset=0, size=len(data), digest=digest, executable=False)
    (found,) = compare(store, folder_id, [Local(path="f", size=len(data), digest=digest)], begun=True)
    assert (found.state, found.offset) == ("absent", 1000)
    (other,) = compare(store, folder_id, [Local(path="g", size=len(data), digest=digest)], begun=True)
    assert other.offset == 0


def test_a_pack_of_files_names_those_that_are_not_in_it(store: FolderStore, folder_id: str) -> None:
    write(store, folder_id, "a")
    (store.root / folder_id / "large").write_bytes(b"x" * SMALL_FILE)
    came = list(unpack(b"".join(fetch(store, folder_id, ["large", "a", "gone"]))))
    assert [(entry.path, entry.kind, len(data)) for entry, data in came] == [
        ("large", "large", 0),
        ("a", "file", 7),
        ("gone", "absent", 0),
    ]
    assert came[1][0].digest == digest_of(b"content")


def test_removing(store: FolderStore, folder_id: str) -> None:
    write(store, folder_id, "a", "d/e/f", "d/g", "k")
    root = store.root / folder_id
    with pytest.raises(Conflict) as refused:
        remove_entries(store, folder_id, "d")
    assert refused.value.code == "not-empty"
    assert (root / "d/e/f").exists()
    remove_entries(store, folder_id, "d", recursive=True)
    remove_entries(store, folder_id, "a")
    assert [path.name for path in root.iterdir()] == ["k"]
    with pytest.raises(NotFound):
        remove_entries(store, folder_id, "a")
    for path in ("..", "../..", "d/../../x"):
        with pytest.raises(Invalid):
            remove_entries(store, folder_id, path, recursive=True)
    remove_entries(store, folder_id, ".", recursive=True)
    assert root.is_dir()
    store.empty_trash().join()
    assert list((store.root / ".trash").iterdir()) == []


def test_removing_what_a_job_has_locked_away(store: FolderStore, folder_id: str) -> None:
    write(store, folder_id, "d/e/f")
    root = store.root / folder_id
    (root / "d/e").chmod(0)
    (root / "d").chmod(0o500)
    store.discard(folder_id)
    store.empty_trash().join()
    assert not root.exists()
    assert list((store.root / ".trash").iterdir()) == []
    store.discard(folder_id)


def test_the_path_to_mount(store: FolderStore, folder_id: str) -> None:
    write(store, folder_id, "a/b/f")
    assert store.host_path(folder_id) == store.root.resolve() / folder_id
    assert store.host_path(folder_id, "a/./b/") == store.root.resolve() / folder_id / "a/b"
    for path, code in (("../x", "path-outside"), ("a/nope", "no-such-directory"), ("a/b/f", "no-such-directory")):
        with pytest.raises(Invalid) as refused:
            store.host_path(folder_id, path)
        assert refused.value.code == code
