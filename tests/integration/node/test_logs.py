"""Output is kept whole and in order, is capped with a mark, and never slows or swells the supervisor."""

from __future__ import annotations

import os
from pathlib import Path

from dais.node import STDERR, STDOUT, SYSTEM, log_directory, read
from dais.node.logs import HEADER_BYTES, SEGMENT_BYTES, LogWriter
from tests.support.supervisor import Control, Node


def _resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmHWM")


def _segments(node: Node, attempt_id: str) -> list[Path]:
    return sorted(Path(log_directory(str(node.directory), attempt_id)).iterdir())


def test_streams_are_told_apart_and_keep_their_order(node: Node, control: Control, isolation: str) -> None:
    script = "for i in 1 2 3; do echo out$i; echo err$i >&2; done"
    spec = node.spec("sh", "-c", script, isolation=isolation)
    ended = control.run(spec)
    assert node.log(spec["attempt_id"], STDOUT) == b"out1\nout2\nout3\n"
    assert node.log(spec["attempt_id"], STDERR) == b"err1\nerr2\nerr3\n"
    assert (ended["log_bytes"], ended["log_truncated"]) == (30, False)


def test_binary_output_is_intact(node: Node, control: Control) -> None:
    data = os.urandom(9 << 20)
    source = node.directory.parent / "data"
    source.write_bytes(data)
    source.chmod(0o644)
    spec = node.spec("cat", str(source))
    ended = control.run(spec)
    assert node.log(spec["attempt_id"]) == data
    assert ended["log_bytes"] == len(data)
    sizes = [path.stat().st_size for path in _segments(node, spec["attempt_id"])]
    assert len(sizes) == 3
    assert max(sizes) <= SEGMENT_BYTES


def test_what_prints_nothing_has_no_log(node: Node, control: Control) -> None:
    spec = node.spec("true")
    control.run(spec)
    assert not (node.directory / "attempts").exists()
    assert node.log(spec["attempt_id"]) == b""


def test_one_endless_line_is_capped_with_a_mark(node: Node, control: Control) -> None:
    cap = 20 << 20
    before = _resident(node.pid())
    spec = node.spec("sh", "-c", "head -c 1073741824 /dev/zero; exit 3", limits={"log": cap})
    ended = control.run(spec)
    assert (ended["exit_code"], ended["log_bytes"], ended["log_truncated"]) == (3, cap, True)
    assert len(node.log(spec["attempt_id"], STDOUT)) == cap
    assert node.log(spec["attempt_id"], SYSTEM) == f"output beyond {cap} bytes was discarded".encode()
    assert _resident(node.pid()) < before + (4 << 20)


def test_a_million_lines_are_all_there(node: Node, control: Control) -> None:
    spec = node.spec("seq", "1000000")
    control.run(spec)
    lines = node.log(spec["attempt_id"]).split(b"\n")
    assert lines[:3] == [b"1", b"2", b"3"]
    assert (len(lines), lines[-2]) == (1_000_001, b"1000000")


def test_a_loud_neighbour_leaves_room_for_others(node: Node, control: Control) -> None:
    loud = [node.spec("cat", "/dev/zero", limits={"log": 1 << 20}) for _ in range(4)]
    control.launch(*loud)
    for spec in loud:
        node.wait_log(spec["attempt_id"], b"discarded")
    quiet = node.spec("echo", "heard")
    assert control.run(quiet)["exit_code"] == 0
    assert node.log(quiet["attempt_id"]) == b"heard\n"
    for spec in loud:
        control.send(op="stop", attempt_id=spec["attempt_id"], grace=0)
        assert control.record(spec["attempt_id"])["reason"] == "stopped"


def test_output_that_waits_in_the_pipe_is_not_lost(node: Node, control: Control, isolation: str) -> None:
    script = "head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2"
    spec = node.spec("sh", "-c", script, isolation=isolation)
    assert control.run(spec)["log_bytes"] == 120_000


def test_a_reader_may_come_at_any_time(tmp_path: Path) -> None:
    directory = str(tmp_path / "log")
    assert read(directory, 0, 0) == ([], 0, 0)
    writer = LogWriter(directory, 1 << 30)
    writer.write(STDOUT, memoryview(b"one"))
    frames, segment, offset = read(directory, 0, 0)
    assert [(stream, data) for _, stream, data in frames] == [(STDOUT, b"one")]
    assert read(directory, segment, offset) == ([], segment, offset)
    writer.write(STDERR, memoryview(b"two"))
    frames, segment, offset = read(directory, segment, offset)
    assert [(stream, data) for _, stream, data in frames] == [(STDERR, b"two")]
    writer.close()


def test_a_torn_frame_is_left_until_it_is_whole(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), 1 << 30)
    for text in (b"first", b"second"):
        writer.write(STDOUT, memoryview(text))
    writer.close()
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for cut in range(HEADER_BYTES + 5, len(whole)):
        path.write_bytes(whole[:cut])
        frames, segment, offset = read(str(tmp_path), 0, 0)
        assert [data for _, _, data in frames] == [b"first"]
        path.write_bytes(whole)
        frames, _, _ = read(str(tmp_path), segment, offset)
        assert [data for _, _, data in frames] == [b"second"]


def test_a_torn_frame_in_an_older_segment_is_skipped(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), 1 << 30)
    big = memoryview(bytes(SEGMENT_BYTES - 1000))
    for data in (memoryview(b"first"), big, memoryview(b"x" * 2000)):
        writer.write(STDOUT, data)
    writer.close()
    first = tmp_path / "00000000.seg"
    first.write_bytes(first.read_bytes()[:100])
    frames, segment, offset = read(str(tmp_path), 0, 0)
    assert [len(data) for _, _, data in frames] == [5]
    frames, segment, offset = read(str(tmp_path), segment, offset)
    assert (segment, [len(data) for _, _, data in frames]) == (1, [2000])


def test_reading_in_small_bites_gives_the_same(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path), 1 << 30)
    written = [os.urandom(size) for size in (1, 10, 5000, 65536, 3, 65536) * 20]
    for data in written:
        writer.write(STDOUT, memoryview(data))
    writer.close()
    found: list[bytes] = []
    segment = offset = 0
    while True:
        frames, segment, offset = read(str(tmp_path), segment, offset, 7)
        if not frames:
            break
        found += [data for _, _, data in frames]
    assert found == written


def test_what_a_full_disk_loses_is_said_at_the_end_too(tmp_path: Path) -> None:
    place = tmp_path / "log"
    place.write_bytes(b"")  # where the log's directory should be made: no segment can be opened
    writer = LogWriter(str(place), 1000)
    writer.write(STDOUT, memoryview(b"lost"))
    assert (writer.incomplete, writer.truncated) == (True, False)
    place.unlink()
    writer.write(STDOUT, memoryview(b"kept"))
    writer.close()
    assert writer.incomplete
    frames, _, _ = read(str(place), 0, 0)
    assert [(stream, data) for _, stream, data in frames] == [
        (SYSTEM, b"4 bytes were lost: File exists"),
        (STDOUT, b"kept"),
    ]
