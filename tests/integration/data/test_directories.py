"""Directories as people look at them, change them and take them away: sorted, in pages, moved, as archives."""

from __future__ import annotations

import io
import os
import threading
import zipfile
from pathlib import Path

import pytest

from dais.data import (
    FolderStore,
    Listing,
    archive,
    check_archivable,
    find_entry,
    list_directory,
    make_directory,
    move_entry,
)
from dais.data.archives import LEFT_OUT
from dais.data.directories import natural
from dais.kit.errors import Conflict, Invalid, NotFound
from dais.sdk import Client, DaisError

HOSTILE = (
    "new\nline",
    "q\"uo'te",
    "<script>alert(1)<script>",
    "\u202egnp.exe",
    "שלום",
    "x" * 255,
    "-rf",
    "%2e%2e",
    "a\\b",
)


@pytest.fixture
def root(store: FolderStore, folder_id: str) -> Path:
    """The folder's own directory, as a job has it."""
    return store.root / folder_id


def names(listing: Listing) -> list[str]:
    return [entry.path.rpartition("/")[2] for entry in listing.entries]


def test_directories_come_first_and_numbers_count(store: FolderStore, folder_id: str, root: Path) -> None:
    for size, name in enumerate(("img10.png", "img2.png", "Alpha", "beta", "img1.png")):
        (root / name).write_bytes(b"x" * size)
        os.utime(root / name, (1000 - size, 1000 - size))
    (root / "z10").mkdir()
    (root / "z9").mkdir()
    listed = list_directory(store, folder_id)
    assert names(listed) == ["z9", "z10", "Alpha", "beta", "img1.png", "img2.png", "img10.png"]
    assert names(list_directory(store, folder_id, descending=True))[:3] == ["z10", "z9", "img10.png"]
    by_size = names(list_directory(store, folder_id, order="size", descending=True))
    assert by_size[2:] == ["img1.png", "beta", "Alpha", "img2.png", "img10.png"]
    assert names(list_directory(store, folder_id, order="changed"))[2:] == by_size[2:]
    some = list_directory(store, folder_id, match="IMG", start=1, limit=1)
    assert (names(some), some.matching, some.total) == (["img2.png"], 3, 7)
    with pytest.raises(Invalid, match="nothing to sort by"):
        list_directory(store, folder_id, order="colour")
    assert natural("a" * 255) < natural("b")


def test_every_name_is_listed_and_found(store: FolderStore, folder_id: str, root: Path) -> None:
    for name in HOSTILE:
        (root / name).touch()
    (root / os.fsdecode(b"\xff\xfe")).touch()
    listed = list_directory(store, folder_id)
    assert {*names(listed)} == {*HOSTILE, "\ufffd\ufffd"}
    assert [entry.kind for entry in listed.entries if "\ufffd" in entry.path] == ["other"]
    for name in HOSTILE:
        assert find_entry(store, folder_id, name).kind == "file"


def test_nothing_is_reached_through_links(store: FolderStore, folder_id: str, root: Path, outside: Path) -> None:
    (root / "out").symlink_to(outside)
    (root / "here").touch()
    with pytest.raises(Conflict, match="not followed"):
        list_directory(store, folder_id, "out")
    for call in (
        lambda: find_entry(store, folder_id, "out/secret"),
        lambda: make_directory(store, folder_id, "out/made"),
        lambda: move_entry(store, folder_id, "here", "out/here"),
        lambda: move_entry(store, folder_id, "out/secret", "stolen"),
        lambda: check_archivable(store, folder_id, "out"),
    ):
        with pytest.raises(Conflict):
            call()
    for path in ("../x", "/etc/passwd", "a/../../x"):
        with pytest.raises(Invalid):
            find_entry(store, folder_id, path)
        with pytest.raises(Invalid):
            move_entry(store, folder_id, "here", path)
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert find_entry(store, folder_id, "out").kind == "link"


def test_directories_are_made_and_things_moved(store: FolderStore, folder_id: str, root: Path) -> None:
    assert make_directory(store, folder_id, "./a/b/") == "a/b"
    (root / "a/b/file").write_text("one")
    (root / "other").write_text("two")
    with pytest.raises(Conflict, match="already"):
        make_directory(store, folder_id, "a/b")
    assert move_entry(store, folder_id, "a/b/file", "a/file") == "a/file"
    with pytest.raises(Conflict, match="already"):
        move_entry(store, folder_id, "other", "a/file")
    assert (root / "a/file").read_text() == "one"
    with pytest.raises(Conflict, match="already"):
        move_entry(store, folder_id, "other", "a/b")
    assert move_entry(store, folder_id, "a", "c") == "c"
    for source, target, code in (
        ("c", "c/d", "inside-itself"),
        ("c", "c", "already-there"),
        ("nothing", "x", "no-such-file"),
        ("other", "nowhere/x", "no-such-file"),
    ):
        with pytest.raises((Invalid, NotFound)) as refused:
            move_entry(store, folder_id, source, target)
        assert refused.value.code == code
    assert sorted(path.name for path in root.rglob("*")) == ["b", "c", "file", "other"]


def test_an_archive_holds_what_is_there_under_safe_names(
    store: FolderStore, folder_id: str, root: Path, outside: Path
) -> None:
    (root / "d/empty").mkdir(parents=True)
    (root / "d/run.sh").write_text("#!/bin/sh\n")
    (root / "d/run.sh").chmod(0o755)
    large = os.urandom(3_000_000)
    (root / "d/large.bin").write_bytes(large)
    (root / "d/link").symlink_to(outside / "secret")
    (root / "d/..\\..\\evil").touch()
    os.mkfifo(root / "d/pipe")
    pieces = list(archive(store, folder_id, "d", "d"))
    assert max(map(len, pieces)) < 2_200_000
    data = b"".join(pieces)
    assert b"nobody may read this" not in data
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        assert set(file.namelist()) == {"d/empty/", "d/run.sh", "d/large.bin", "d/..%5C..%5Cevil", f"d/{LEFT_OUT}"}
        assert file.read("d/large.bin") == large
        assert file.getinfo("d/run.sh").external_attr >> 16 & 0o111
        left_out = file.read(f"d/{LEFT_OUT}").decode()
    assert left_out == "d/link: a link\nd/pipe: a special thing\n"


def test_an_archive_made_while_a_job_swaps_directories_for_links_stays_inside(
    store: FolderStore, folder_id: str, root: Path, outside: Path
) -> None:
    for number in range(20):
        (root / f"d{number}").mkdir()
        (root / f"d{number}/secret").write_text("fine")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for number in range(20):
                (root / f"d{number}").rename(root / "aside")
                (root / f"d{number}").symlink_to(outside)
                (root / f"d{number}").unlink()
                (root / "aside").rename(root / f"d{number}")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(50):
            data = b"".join(archive(store, folder_id, "", "all"))
            assert b"nobody may read this" not in data
    finally:
        over.set()
        thread.join()


def test_too_large_an_archive_is_refused_before_it_begins(store: FolderStore, folder_id: str, root: Path) -> None:
    for name in "ab":
        (root / name).touch()
    check_archivable(store, folder_id, limit=2)
    (root / "c").touch()
    with pytest.raises(Invalid, match="more than 2 entries"):
        check_archivable(store, folder_id, limit=2)


def test_over_http(client: Client) -> None:
    client.folders.create("digits")
    made = client.folders.make_directory("digits", "train/ones")
    assert (made.path, made.kind) == ("train/ones", "directory")
    assert client.folders.move_entry("digits", "train/ones", "/ones/").path == "ones"
    assert [entry.path for entry in client.folders.entries("digits")] == ["ones", "train"]
    with pytest.raises(DaisError) as refused:
        client.folders.move_entry("digits", "ones", "train")
    assert refused.value.code == "already-there"
