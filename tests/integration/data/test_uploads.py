"""Files into folders: whole or not at all, verified, and never outside."""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dais.data import FolderStore, list_entries, open_file, remove_entries, write_pack, write_piece
from dais.data.hashing import digest_of
from dais.kit.errors import Conflict, DaisError, Invalid, NotFound, Unavailable
from dais.kit.ids import new_id
from dais.wire.transfers import PackEntry, Received, pack_header

WRITER = """
import sys
from pathlib import Path
from dais.data import FolderStore, write_pack
from dais.data.hashing import digest_of
from dais.wire.transfers import PackEntry, pack_header
store = FolderStore(Path(sys.argv[1]))
number = 0
while True:
    pack = b""
    for part in range(20):
        data = b"%d\\n" % number * 20_000
        pack += pack_header(PackEntry(path=f"d/{part}", size=len(data), digest=digest_of(data))) + data
    write_pack(store, sys.argv[2], pack)
    print(number, flush=True)
    number += 1
"""


def pack_of(files: dict[str, bytes], *, executable: bool = False) -> bytes:
    return b"".join(
        pack_header(PackEntry(path=path, size=len(data), digest=digest_of(data), executable=executable)) + data
        for path, data in files.items()
    )


def exchange(one: Path, other: Path) -> None:
    """Two names change places, with no moment between."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) != 0:
        raise OSError(ctypes.get_errno(), "renameat2", str(one))


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def piece(
    store: FolderStore, folder_id: str, data: bytes, start: int, end: int, *, path: str = "f", executable: bool = False
) -> Received:
    return write_piece(
        store,
        folder_id,
        path,
        data[start:end],
        offset=start,
        size=len(data),
        digest=digest_of(data),
        executable=executable,
    )


def test_a_pack_is_written_with_its_bits(store: FolderStore, folder_id: str) -> None:
    write_pack(store, folder_id, pack_of({"a/b/run": b"x"}, executable=True) + pack_of({"a/data": b"y", "empty": b""}))
    root = store.root / folder_id
    assert (root / "a/b/run").read_bytes() == b"x"
    assert stat.S_IMODE((root / "a/b/run").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "a/data").stat().st_mode) == 0o644
    assert (root / "empty").read_bytes() == b""
    write_pack(store, folder_id, pack_of({"a/data": b"newer"}))
    assert (root / "a/data").read_bytes() == b"newer"
    assert list((store.root / ".partial" / folder_id).iterdir()) == []


def test_a_pack_with_one_wrong_entry_writes_nothing(store: FolderStore, folder_id: str) -> None:
    wrong = pack_header(PackEntry(path="b", size=1, digest=digest_of(b"y"))) + b"x"
    with pytest.raises(Invalid) as refused:
        write_pack(store, folder_id, pack_of({"a": b"x"}) + wrong)
    assert refused.value.code == "digest-mismatch"
    assert list((store.root / folder_id).iterdir()) == []


@pytest.mark.parametrize(
    "path, code",
    [
        ("../x", "path-outside"),
        ("/x", "bad-path"),
        ("a/../../x", "path-outside"),
        ("", "empty-path"),
        ("a//b", "bad-path"),
    ],
)
def test_paths_that_lead_elsewhere_are_refused(store: FolderStore, folder_id: str, path: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        write_pack(store, folder_id, pack_of({path: b"x"}))
    assert refused.value.code == code
    with pytest.raises(Invalid):
        piece(store, folder_id, b"x", 0, 1, path=path)


def test_hostile_names_are_carried(store: FolderStore, folder_id: str) -> None:
    names = ["a\nb", "<img onerror=alert(1)>", "\u202egnp.exe", "-rf", "$(reboot)", "\x1b[31m", " ", "ü" * 127]
    write_pack(store, folder_id, pack_of({name: name.encode() for name in names}))
    assert {entry.path for entry in list_entries(store, folder_id).items} == set(names)
    for name in names:
        with open_file(store, folder_id, name) as file:
            assert os.read(file.fd, 1000) == name.encode()


def test_links_are_carried_when_they_stay_inside(store: FolderStore, folder_id: str) -> None:
    link = pack_header(PackEntry(path="d/link", kind="link", target="../a"))
    write_pack(store, folder_id, pack_of({"a": b"x"}) + link)
    assert (store.root / folder_id / "d/link").read_bytes() == b"x"
    for target in ("/etc/passwd", "../../x", "x/../../../y"):
        with pytest.raises(Invalid) as refused:
            write_pack(store, folder_id, pack_header(PackEntry(path="d/link", kind="link", target=target)))
        assert refused.value.code == "link-outside"


def test_nothing_is_written_or_read_through_a_link(store: FolderStore, folder_id: str, outside: Path) -> None:
    """A job has put links into its folder: to a directory, to a file, and around the root."""
    root = store.root / folder_id
    (root / "dir").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    with pytest.raises(Conflict) as refused:
        write_pack(store, folder_id, pack_of({"dir/new": b"x"}))
    assert refused.value.code == "not-a-directory"
    with pytest.raises(Conflict):
        piece(store, folder_id, b"x", 0, 1, path="dir/secret")
    for path in ("file", "dir/secret", "dir"):
        with pytest.raises(Conflict), open_file(store, folder_id, path):
            pass
    with pytest.raises(Conflict):
        list_entries(store, folder_id, "dir/x")
    assert [(entry.path, entry.kind) for entry in list_entries(store, folder_id, recursive=True).items] == [
        ("dir", "link"),
        ("file", "link"),
    ]
    with pytest.raises(Invalid):
        store.host_path(folder_id, "dir")
    write_pack(store, folder_id, pack_of({"file": b"x"}))
    assert not (root / "file").is_symlink(), "the link itself is replaced"
    remove_entries(store, folder_id, "dir")
    assert (outside / "secret").read_text() == "nobody may read this"
    assert names_in(outside) == ["secret"]


def test_a_folder_whose_links_change_all_the_time_leads_nowhere(
    store: FolderStore, folder_id: str, outside: Path
) -> None:
    """A job swaps a directory and a link to the outside while we write, read, list and remove."""
    root = store.root / folder_id
    (root / "real").mkdir()
    (root / "real/secret").write_text("inside")
    (root / "swap").symlink_to(outside)
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            exchange(root / "swap", root / "real")

    thread = threading.Thread(target=swap)
    thread.start()
    reached = 0
    try:
        for number in range(1500):
            try:
                if number % 3 == 0:
                    write_pack(store, folder_id, pack_of({"swap/new": b"x"}))
                elif number % 3 == 1:
                    list_entries(store, folder_id, "swap", recursive=True)
                else:
                    with open_file(store, folder_id, "swap/secret") as file:
                        assert os.read(file.fd, 100) == b"inside"
                reached += 1
            except (Conflict, NotFound):
                pass
    finally:
        done.set()
        thread.join()
    assert reached > 0, "the race was never run"
    assert names_in(outside) == ["secret"]


def test_a_file_in_pieces_appears_with_the_last(store: FolderStore, folder_id: str) -> None:
    data = os.urandom(1_000_000)
    place = store.root / folder_id / "f"
    assert piece(store, folder_id, data, 0, 300_000) == Received(path="f", offset=300_000, complete=False)
    assert not place.exists()
    again = FolderStore(store.root)  # a server that started anew
    with pytest.raises(Conflict) as refused:
        piece(again, folder_id, data, 600_000, 900_000)
    assert (refused.value.code, refused.value.fields["expected"]) == ("wrong-offset", 300_000)
    assert piece(again, folder_id, data, 200_000, 600_000).offset == 600_000, "what came already is passed over"
    assert piece(again, folder_id, data, 600_000, 1_000_000, executable=True).complete
    assert place.read_bytes() == data
    assert stat.S_IMODE(place.stat().st_mode) == 0o755
    assert piece(again, folder_id, data, 600_000, 1_000_000).complete, "the answer was lost, the piece comes again"
    assert list((store.root / ".partial" / folder_id).iterdir()) == []


def test_pieces_that_are_not_what_was_announced_are_dropped(store: FolderStore, folder_id: str) -> None:
    write_pack(store, folder_id, pack_of({"f": b"old"}))
    with pytest.raises(Invalid) as refused:
        write_piece(store, folder_id, "f", b"abc", offset=0, size=3, digest=digest_of(b"xyz"), executable=False)
    assert refused.value.code == "digest-mismatch"
    assert (store.root / folder_id / "f").read_bytes() == b"old"
    assert list((store.root / ".partial" / folder_id).iterdir()) == []
    with pytest.raises(Invalid):
        write_piece(store, folder_id, "f", b"abc", offset=1, size=3, digest=digest_of(b"xyz"), executable=False)


def test_two_uploads_of_one_file_at_once_end_with_the_file(store: FolderStore, folder_id: str) -> None:
    data = os.urandom(2_000_000)
    failures: list[BaseException] = []

    def upload() -> None:
        try:
            for start in range(0, len(data), 100_000):
                piece(store, folder_id, data, start, start + 100_000)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=upload) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (store.root / folder_id / "f").read_bytes() == data


def test_a_directory_in_the_way_is_told(store: FolderStore, folder_id: str) -> None:
    write_pack(store, folder_id, pack_of({"d/f": b"x"}))
    with pytest.raises(Conflict) as told:
        write_pack(store, folder_id, pack_of({"d": b"x"}))
    assert told.value.code == "is-a-directory"
    with pytest.raises(Conflict) as told:
        write_pack(store, folder_id, pack_of({"d/f/g": b"x"}))
    assert told.value.code == "not-a-directory"
    assert list((store.root / ".partial" / folder_id).iterdir()) == []


def test_files_belong_to_the_jobs_user(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    store = FolderStore(tmp_path / "folders", uid=13011, gid=13012)
    folder_id = new_id()
    store.create(folder_id)
    link = pack_header(PackEntry(path="n/l", kind="link", target="f"))
    write_pack(store, folder_id, pack_of({"n/e/w/f": b"x"}) + link)
    piece(store, folder_id, b"y", 0, 1, path="m/f")
    root = store.root / folder_id
    for path in (root, *root.rglob("*")):
        info = path.lstat()
        assert (info.st_uid, info.st_gid) == (13011, 13012), path


def test_a_kill_in_the_midst_of_packs_leaves_whole_files_only(store: FolderStore, folder_id: str) -> None:
    root = store.root / folder_id / "d"
    for kills in (1, 4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(store.root), folder_id], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(kills):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for part in range(20):
            data = (root / str(part)).read_bytes()
            assert data == data[: data.index(b"\n") + 1] * 20_000
    store.sweep({folder_id}, unfinished_seconds=-3600)
    assert list((store.root / ".partial" / folder_id).iterdir()) == []


def test_a_full_disk_is_told_and_no_half_file_is_seen(small_disk: Path) -> None:
    store = FolderStore(small_disk)
    folder_id = new_id()
    store.create(folder_id)
    write_pack(store, folder_id, pack_of({"kept": b"x"}))
    with pytest.raises(Unavailable) as told:
        write_pack(store, folder_id, pack_of({str(n): os.urandom(1 << 20) for n in range(12)}))
    assert told.value.code == "disk-full"
    data = os.urandom(10 << 20)
    have = 0
    with pytest.raises(Unavailable) as told:  # noqa: PT012  (it may come with any piece)
        while True:
            have = piece(store, folder_id, data, have, have + (1 << 20)).offset
    assert told.value.code == "disk-full"
    assert [entry.path for entry in list_entries(store, folder_id, recursive=True).items] == ["kept"]
    assert list((store.root / ".partial" / folder_id).iterdir()) == []
    write_pack(store, folder_id, pack_of({"again": os.urandom(5 << 20)}))


def test_a_folder_that_the_disk_lost_is_told(store: FolderStore) -> None:
    with pytest.raises(DaisError) as told:
        write_pack(store, new_id(), pack_of({"a": b"x"}))
    assert told.value.code == "folder-lost"
