"""Reading where somebody else writes: only plain files, only so much, never through a link, never waiting."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dais.engines.supervised.plain import directory_beneath, read_plain


def test_a_file_is_read_from_its_beginning_or_its_end(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    assert (read_plain(file, 4), read_plain(file, 4, tail=True)) == (b"0123", b"6789")
    assert read_plain(file, 99) == b"0123456789"


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "nothing", "below a file", "dangling link", "socket"])
def test_what_is_no_file_has_nothing_in_it(tmp_path: Path, kind: str) -> None:
    secret, path = tmp_path / "secret", tmp_path / "path"
    secret.write_text("secret")
    match kind:
        case "link":
            path.symlink_to(secret)
        case "dangling link":
            path.symlink_to(tmp_path / "absent")
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "below a file":
            path = secret / "path"
        case "socket":
            import socket

            made = socket.socket(socket.AF_UNIX)
            made.bind(str(path))
            made.close()
    assert read_plain(path, 99) == b""


def test_a_directory_is_found_beneath_and_through_no_link(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "a" / "log").mkdir(parents=True)
    (top / "a" / "log" / "file").write_text("here")
    (tmp_path / "other" / "log").mkdir(parents=True)
    (top / "b").symlink_to(tmp_path / "other")
    (top / "c").mkdir()
    (top / "c" / "log").symlink_to(tmp_path / "other" / "log")
    with directory_beneath(top, "./a/log") as found:
        (top / "a").rename(top / "moved")
        assert Path(found, "file").read_text() == "here"
    for inner in ("b/log", "c/log", "../other/log", "absent"):
        with pytest.raises(OSError, match=inner), directory_beneath(top, inner):
            pass
