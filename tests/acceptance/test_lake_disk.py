"""A disk that runs full at every step of an upload of versioned files: nothing half there, and it goes on with room."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dais.data.blobs import free_space
from dais.sdk.errors import DaisError
from tests.acceptance.test_lake import cramped, examined, tree
from tests.support.installation import Installation

__all__ = ["cramped"]

MIB = 1 << 20


@contextmanager
def filled(running: Installation, room: int) -> Iterator[None]:
    """Let the disk have only so many bytes free, within the block."""
    filler = running.data.parent / "filler"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):  # the server writes meanwhile, too
            while (free := free_space(running.data.parent)) > room:
                file.write(bytes(min(free - room, MIB)))
        yield
    finally:
        filler.unlink()


def refused(act: Callable[[], object]) -> None:
    """It says that the disk is full, and what to do."""
    with pytest.raises(DaisError) as told:
        act()
    assert told.value.code == "disk-full", told.value
    assert re.search(r"(is full|are to come); (remove|free)", str(told.value)), "the remedy is named"


@pytest.mark.slow
def test_contents_that_find_no_room_leave_nothing_to_be_seen(cramped: Installation, tmp_path: Path) -> None:
    """A bit more room each time: packs, pieces, chunks and the recipe are refused in turn; then all is there."""
    top = tree(tmp_path / "tree", 40, 3000)
    (top / "large").write_bytes(random.randbytes(17 * MIB))  # comes as chunks, and is kept as a recipe
    (top / "middle").write_bytes(random.randbytes(9 * MIB))  # comes in pieces
    client = cramped.client()
    client.patience = 0
    for room in (0, 64 << 10, 1100 << 10, 2 * MIB, 4 * MIB, 6 * MIB):
        with filled(cramped, room):
            refused(lambda: client.files.upload_tree(top, "/t/"))
            assert list(client.files.ls("/")) == []
    assert len(client.files.upload_tree(top, "/t/")) == 42
    client.files.download_tree("/t/", tmp_path / "back")
    for path in top.rglob("*"):
        assert path.is_dir() or (tmp_path / "back" / path.relative_to(top)).read_bytes() == path.read_bytes()
    assert examined(cramped)["sound"] is True


@pytest.mark.slow
def test_rows_that_find_no_room_are_all_there_or_none(cramped: Installation, tmp_path: Path) -> None:
    """All contents are there: the commit itself is refused, then the set, then neither."""
    count = 3000
    top = tmp_path / "tree"
    top.mkdir()
    for number in range(count):
        (top / f"{number}").write_bytes(b"x")
    client = cramped.client()
    client.patience = 0
    client.files.upload([(top / "0", "/first")])
    with filled(cramped, 0):
        refused(lambda: client.files.upload_tree(top, "/t/"))
        assert [one.path for one in client.files.ls("/")] == ["/first"]
    assert {one.version for one in client.files.upload_tree(top, "/t/")} == {1}
    with filled(cramped, 0):
        refused(lambda: client.filesets.create("t", ["/t/"]))
        assert list(client.filesets.ls()) == []
        assert len(list(client.files.ls("/t/"))) == count
    made = client.filesets.create("t", ["/t/"])
    assert (made.version, made.files) == (1, count)
    assert examined(cramped)["sound"] is True
