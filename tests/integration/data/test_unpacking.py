"""Zip archives that somebody uploaded: what is unpacked, and the attacks that are not."""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest

from dais.data import UnpackLimits, unpack
from dais.data.unpacking import MAX_TABLE
from dais.kit.errors import Invalid


def archive(*entries: tuple[str, bytes], mode: int = 0o644, kind: int = stat.S_IFREG) -> bytes:
    """An archive with these entries, whatever they are called."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as made, warnings.catch_warnings(action="ignore"):
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.filename = info.orig_filename = name
            info.create_system = 3
            info.external_attr = (kind | mode) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(info, content)
    return sink.getvalue()


def unpacked(data: bytes, into: Path, limits: UnpackLimits | None = None) -> dict[str, bytes]:
    """What comes of an archive, by path."""
    into.mkdir()
    unpack(io.BytesIO(data), len(data), into, limits=limits)
    return {str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()}


def test_files_come_out_with_their_directories_and_bits(tmp_path: Path) -> None:
    data = archive(("a/b/c.py", b"print()"), ("d", b""), mode=0o755)
    assert unpacked(data, tmp_path / "x") == {"a/b/c.py": b"print()", "d": b""}
    assert stat.S_IMODE((tmp_path / "x/d").stat().st_mode) == 0o755
    assert unpacked(archive(), tmp_path / "empty") == {}


@pytest.mark.parametrize(
    "name,said",
    [
        ("/etc/passwd", "no path below"),
        ("../up", "leads upward"),
        ("a/../../up", "leads upward"),
        ("C:/windows", "no path below"),
        ("a\\..\\up", "no path below"),
        ("a//b", "simplest form"),
        ("./a", "simplest form"),
        ("a\0b", "NUL"),
        ("x" * 300, "more than 255"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(Invalid, match=said) as caught:
        unpacked(archive((name, b"x")), tmp_path / "x")
    assert caught.value.code == "bad-archive"
    assert list((tmp_path / "x").iterdir()) == [], "nothing is written before all names are known"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_special_files_are_refused(tmp_path: Path, kind: int) -> None:
    with pytest.raises(Invalid, match=r"a link|neither a file nor a directory"):
        unpacked(archive(("x", b"/etc/passwd"), kind=kind), tmp_path / "x")


def test_one_place_is_written_once(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="twice"):
        unpacked(archive(("a", b"1"), ("a", b"2")), tmp_path / "x")
    with pytest.raises(Invalid, match="a file and a directory at once"):
        unpacked(archive(("a", b"1"), ("a/b", b"2")), tmp_path / "y")


def test_a_bomb_is_refused_by_what_comes_out_of_it(tmp_path: Path) -> None:
    bomb = archive(("zeros", bytes(40 << 20)))
    assert len(bomb) < 100_000
    with pytest.raises(Invalid, match=r"more than 16,777,216 bytes") as caught:
        unpacked(bomb, tmp_path / "ratio")
    assert caught.value.code == "archive-too-large"
    with pytest.raises(Invalid, match="more than 1,000 bytes"):
        unpacked(archive(("a", os.urandom(600)), ("b", os.urandom(600))), tmp_path / "total", UnpackLimits(size=1000))
    with pytest.raises(Invalid, match="3 entries, at most 2"):
        unpacked(archive(*((str(n), b"") for n in range(3))), tmp_path / "count", UnpackLimits(files=2))


def test_a_size_that_lies_is_not_believed(tmp_path: Path) -> None:
    bomb = bytearray(archive(("zeros", bytes(40 << 20))))
    at = bomb.rindex(b"PK\x01\x02")
    bomb[at + 24 : at + 28] = struct.pack("<I", 10)  # what the table says that it unpacks to
    with pytest.raises(Invalid):
        unpacked(bytes(bomb), tmp_path / "x")
    assert sum(path.stat().st_size for path in (tmp_path / "x").rglob("*")) <= 10


def test_a_table_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    table = bytes(MAX_TABLE + 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(table), 0, 0)
    with pytest.raises(Invalid, match="table of contents is too large") as caught:
        unpacked(table + end, tmp_path / "x")
    assert caught.value.code == "archive-too-large"


@pytest.mark.parametrize("data", [b"", b"no zip", archive(("a", os.urandom(5000)))[:3000]])
def test_what_is_no_whole_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Invalid, match="no whole zip archive"):
        unpacked(data, tmp_path / "x")


def test_nothing_that_is_there_is_replaced_and_no_link_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    into = tmp_path / "into"
    into.mkdir()
    (into / "link").symlink_to(tmp_path / "outside")
    (into / "there").write_bytes(b"mine")
    for name in ("link/x", "link", "there"):
        data = archive((name, b"x"))
        with pytest.raises((FileExistsError, NotADirectoryError)):
            unpack(io.BytesIO(data), len(data), into)
    assert (into / "there").read_bytes() == b"mine"
    assert list((tmp_path / "outside").iterdir()) == []


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    data = bytearray(archive(("a", b"x")))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark)
        data[at + offset] |= 1
    with pytest.raises(Invalid, match="encrypted"):
        unpacked(bytes(data), tmp_path / "x")
