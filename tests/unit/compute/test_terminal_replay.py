"""What is kept of a terminal's output."""

from __future__ import annotations

from dais.compute.terminals.replay import Replay


def test_all_of_it_while_it_fits() -> None:
    replay = Replay(100)
    replay.add(b"one ")
    replay.add(b"two")
    assert replay.since(0, 1000) == b"one two"
    assert replay.since(2, 1000) == b"e two"
    assert replay.since(2, 3) == b"e t"
    assert replay.since(7, 10) == b""
    assert replay.afresh() == (b"", 0)
    assert replay.has(7)
    assert not replay.has(8)


def test_the_last_of_it_from_the_beginning_of_a_line() -> None:
    replay = Replay(10)
    replay.add(b"first line\n")
    replay.add(b"second\nlast")
    assert (replay.start, replay.end) == (12, 22)
    assert not replay.has(11)
    assert replay.since(12, 99) == b"econd\nlast"
    assert replay.afresh() == (b"", 18)
    assert replay.since(18, 99) == b"last"


def test_a_long_line_is_begun_where_it_can_be() -> None:
    replay = Replay(8)
    replay.add(b"x" * 30)
    assert replay.afresh() == (b"", 22)


def test_modes_that_were_set_before_are_not_forgotten() -> None:
    replay = Replay(4)
    replay.add(b"\x1b[?1049h\x1b[?20")
    replay.add(b"04;25h and \x1b[?25l")
    replay.add(b"....")
    modes, _ = replay.afresh()
    assert modes == b"\x1b[?1049h\x1b[?2004h\x1b[?25l"
    for number in range(1000):
        replay.add(b"\x1b[?%dh" % number)
    modes, _ = replay.afresh()
    assert len(modes) < 1000
