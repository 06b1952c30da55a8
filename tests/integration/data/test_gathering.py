"""What a job wrote, taken while it does all it can to have something else taken."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dais.data import BlobStore, look_through, take
from dais.data.hashing import digest_of
from dais.kit.errors import Conflict, DaisError, Invalid
from dais.wire.lake import MAX_PATH

ROUNDS = 200
MOST = 1 << 30


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    (made / "out").mkdir(parents=True)
    return made


def taken(blobs: BlobStore, work: Path) -> dict[str, bytes]:
    """What is taken below `out`, by path."""
    found = look_through(work, "out", most=MOST)
    return {one.path: blobs.read(one.digest) for one in take(blobs, work, found.files, lambda _: None)}


def busy(step: Callable[[], None]) -> Callable[[], None]:
    """Begin to do something over and over; what ends it."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            step()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def end() -> None:
        over.set()
        thread.join()

    return end


def test_files_are_taken_and_nothing_else(blobs: BlobStore, work: Path) -> None:
    out = work / "out"
    (out / "d").mkdir()
    (out / "d/f").write_bytes(b"fine")
    (out / "large").write_bytes(os.urandom(3 << 20))
    (out / "run").write_bytes(b"#!")
    (out / "run").chmod(0o700)
    (out / "link").symlink_to("/etc/passwd")
    (out / "up").symlink_to("..")
    os.mkfifo(out / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(out / "sock"))
    if os.geteuid() == 0:
        os.mknod(out / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    found = look_through(work, "out", most=MOST)
    assert [one.path for one in found.files] == ["out/d/f", "out/large", "out/run"]
    assert {line.partition(" ")[0] for line in found.left_out} >= {"out/link", "out/up", "out/pipe", "out/sock"}
    new = take(blobs, work, found.files, lambda _: None)
    assert {one.path: one.executable for one in new} == {"/out/d/f": False, "/out/large": False, "/out/run": True}
    assert {one.path: one.digest for one in new}["/out/large"] == digest_of((out / "large").read_bytes())


def test_an_output_that_is_a_link_is_not_followed(work: Path) -> None:
    for target in ("/etc", "."):
        (work / "away").unlink(missing_ok=True)
        (work / "away").symlink_to(target)
        for path in ("away", "away/etc", "away/ssl"):
            with pytest.raises(Conflict, match="links are not followed"):
                look_through(work, path, most=MOST)
    assert look_through(work, "nowhere/at/all", most=MOST).there is False


def test_directories_that_become_links_meanwhile_lead_nowhere(blobs: BlobStore, work: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_bytes(b"secret")
    (work / "out/d").mkdir()
    (work / "out/d/f").write_bytes(b"mine")
    place, aside = work / "out/d", work / "aside"

    def swap() -> None:
        place.rename(aside)
        place.symlink_to(outside)
        place.unlink()
        aside.rename(place)

    end = busy(swap)
    try:
        for _ in range(ROUNDS):
            try:
                found = taken(blobs, work)
            except DaisError as error:
                assert error.code in ("not-a-directory", "not-a-file", "no-such-file")  # noqa: PT017
            else:
                assert found in ({}, {"/out/d/f": b"mine"})
    finally:
        end()


def test_files_that_become_links_meanwhile_are_not_followed(blobs: BlobStore, work: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    place, aside = work / "out/f", work / "aside"
    place.write_bytes(b"mine")

    def swap() -> None:
        aside.symlink_to(tmp_path / "secret")
        aside.replace(place)
        aside.write_bytes(b"mine")
        aside.replace(place)

    end = busy(swap)
    try:
        for _ in range(ROUNDS):
            try:
                found = taken(blobs, work)
            except DaisError as error:
                assert error.code in ("not-a-file", "no-such-file")  # noqa: PT017
            else:
                assert set(found.values()) <= {b"mine", b""}
    finally:
        end()


def test_a_file_that_changes_while_it_is_read_is_read_again(blobs: BlobStore, work: Path) -> None:
    path, size = work / "out/f", 3 << 20
    path.write_bytes(b"a" * size)
    changes = iter((b"b", b"c"))

    def tell(count: int) -> None:
        """A piece was read: what comes before it changes, twice."""
        if (letter := next(changes, None)) is not None:
            path.write_bytes(letter * size)

    (one,) = take(blobs, work, look_through(work, "out", most=MOST).files, tell)
    assert blobs.read(one.digest) == b"c" * size


def test_a_file_that_always_changes_is_refused(blobs: BlobStore, work: Path) -> None:
    path = work / "out/f"
    path.write_bytes(b"a" * (3 << 20))

    def tell(count: int) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    with pytest.raises(Conflict, match="changes while it is read") as caught:
        take(blobs, work, look_through(work, "out", most=MOST).files, tell)
    assert caught.value.code == "changed-while-read"


@pytest.mark.parametrize(
    "name,said", [("v:3", "mean a version"), ("a\nb", "control character"), ("x/" * 600 + "y", "at most 1,024")]
)
def test_names_that_no_version_can_have_are_named(work: Path, name: str, said: str) -> None:
    fd = os.open(work / "out", os.O_RDONLY)
    try:
        for part in name.split("/")[:-1]:  # deeper than a path may be long
            os.mkdir(part, dir_fd=fd)
            inner = os.open(part, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = inner
        os.close(os.open(name.split("/")[-1], os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    finally:
        os.close(fd)
    assert len(name) < 2 * MAX_PATH
    with pytest.raises(Invalid, match=said):
        look_through(work, "out", most=MOST)


def test_limits_are_met_before_anything_is_read(work: Path) -> None:
    with (work / "out/sparse").open("wb") as file:
        file.truncate(1 << 42)
    with pytest.raises(Invalid, match="more than 1,000,000 bytes"):
        look_through(work, "out", most=1_000_000)


def test_a_directory_that_nobody_may_enter_is_told(work: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may enter it")
    (work / "out/closed").mkdir(mode=0o000)
    with pytest.raises(Conflict, match="took its permissions away"):
        look_through(work, "out", most=MOST)
