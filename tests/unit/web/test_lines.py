"""Output of jobs as lines of HTML: colours stay, nothing acts, whatever way the bytes were cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dais.engines.contract import STDERR, STDOUT, SYSTEM, Frame
from dais.web.ansi import PLAIN, Style, line_html
from dais.web.lines import MAX_LINE, Line, LineWriter, last_lines


def shown(text: str) -> str:
    return line_html(text, PLAIN)[0]


def frame(data: bytes, stream: int = STDOUT) -> Frame:
    return Frame(1_700_000_000_123_456_789, stream, data)


@pytest.mark.parametrize(
    "text, html",
    [
        ("plain", "plain"),
        ("<script>alert('1')</script> & \"x\"", "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &#34;x&#34;"),
        ("\x1b[31mred\x1b[0m not", '<span class="a-f1">red</span> not'),
        ("\x1b[1;32mbold\x1b[22m thin", '<span class="a-bold a-f2">bold</span><span class="a-f2"> thin</span>'),
        ("\x1b[94;41mx", '<span class="a-f12 a-b1">x</span>'),
        ("\x1b[38;5;196mx", '<span class="a-f9">x</span>'),
        ("\x1b[38;2;0;0;250mx\x1b[39my", '<span class="a-f4">x</span>y'),
        ("\x1b[mx", "x"),
        ("\x1b]0;a title\x07x", "x"),
        ("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[2J\x1b[1;1Hx\x1b[K", "x"),
        ("x\x1b[3", "x"),
        ("a\tb\x00\x9b\x7f", "a\tb\u2400\ufffd\u2421"),
        ("file\u202egpj.exe", "file\ufffdgpj.exe"),
        ("10%\r20%\r30%", "30%"),
        ("\r100%\r", "100%"),
        ("\x1b[31m10%\x1b[0m|##\r", '<span class="a-f1">10%</span>|##'),
        ("old\r\x1b[32mnew", '<span class="a-f2">new</span>'),
        ("\x1b[38;5;999mx\x1b[38;2;1mx\x1b[38mx\x1b[;;;mx", "xxxx"),
    ],
)
def test_a_line_keeps_its_colours_and_loses_what_acts(text: str, html: str) -> None:
    assert shown(text) == html


def test_a_colour_lasts_until_it_is_reset_also_over_lines() -> None:
    lines = LineWriter().add([frame(b"\x1b[31mone\ntwo\x1b[0m\nthree\n")])
    assert [line.html for line in lines] == [
        '<span class="a-f1">one</span>',
        '<span class="a-f1">two</span>',
        "three",
    ]
    assert line_html("\x1b[1;3;4;7;9m\x1b[23;24;27;29m", PLAIN)[1] == Style(flags=frozenset({"bold"}))


def test_streams_are_told_apart_and_each_keeps_its_unfinished_line() -> None:
    writer = LineWriter()
    first = writer.add([frame(b"out"), frame(b"error\n", STDERR), frame(b"note\n", SYSTEM)])
    assert [line.row().partition(" data")[0] for line in first] == ['<div class="line err"', '<div class="line sys"']
    assert [line.html for line in writer.open()] == ["out"]
    second = writer.add([frame(b"put\n")])
    assert ([line.html for line in second], writer.open()) == (["output"], [])


def test_a_line_that_never_ends_is_broken_where_no_colour_is_cut() -> None:
    lines = LineWriter().add([frame(b"x" * (MAX_LINE - 2) + b"\x1b[31m" + b"y" * MAX_LINE + b"\n")])
    first, second, third = (line.html for line in lines)
    assert first == "x" * (MAX_LINE - 2)
    assert re.fullmatch('<span class="a-f1">y+</span>', second)
    assert re.fullmatch('<span class="a-f1">y+</span>', third)
    assert (second + third).count("y") == MAX_LINE


def test_a_progress_bar_without_end_keeps_its_newest_state() -> None:
    writer = LineWriter()
    for step in range(5_000):
        assert writer.add([frame(f"\r{step:4} of 5000".encode())]) == []
    assert writer.open()[0].html == writer.open()[0].plain == "4999 of 5000"


def test_only_the_newest_lines_are_kept() -> None:
    lines = LineWriter().add([frame(b"".join(b"%d\n" % number for number in range(50)) + b"open")])
    kept, cut = last_lines(lines, 3, 10_000)
    assert ([line.html for line in kept], cut) == (["47", "48", "49"], True)
    kept, cut = last_lines(lines, 1000, 3 * len(lines[-1].row(0)))
    assert (len(kept), cut) == (3, True)
    assert last_lines(lines, 50, 100_000) == (lines, False)


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=20))
def test_however_the_bytes_are_cut_the_lines_are_the_same(data: bytes, cuts: list[int]) -> None:
    pieces, rest = [], data
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    whole, parts = LineWriter(), LineWriter()
    lines = whole.add([frame(data)])
    done: list[Line] = []
    for piece in [*pieces, rest]:
        done += parts.add([frame(piece)])
    assert (done, parts.open()) == (lines, whole.open())


OUTPUT = st.lists(
    st.sampled_from(
        [b"word", b"\n", b"\r", b"\x1b[31m", b"\x1b[0m", b"\x1b[1", b"\xc3", b"\xa9", b"\x1b]0;x", b"x" * 9_000]
    ),
    max_size=12,
)


@given(st.lists(st.tuples(OUTPUT, st.sampled_from([STDOUT, STDERR])), max_size=8))
def test_lines_that_are_skipped_are_counted_and_what_follows_is_the_same(frames: list[tuple[list[bytes], int]]) -> None:
    first = [frame(b"".join(pieces), stream) for pieces, stream in frames]
    then = [frame(b" and more\n"), frame(b" and more\n", STDERR)]
    reading, skipping = LineWriter(), LineWriter()
    assert skipping.skip(first) == len(reading.add(first))
    assert skipping.copy().add(then) == reading.add(then) == skipping.add(then)


@given(st.text(max_size=200))
def test_no_text_becomes_markup(text: str) -> None:
    html = shown(text)
    tags = re.findall(r"<[^>]*>", html)
    assert all(re.fullmatch(r'<span class="[a-z0-9 -]+">|</span>', tag) for tag in tags)
    assert "\x1b" not in html
