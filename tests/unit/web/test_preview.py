"""What pages show of files: text, tables, JSON, images by their first bytes, and nothing that acts."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dais.web.preview import (
    MAX_COLUMNS,
    MAX_IMAGE,
    MAX_LINE,
    MAX_LINES,
    MAX_ROWS,
    MAX_TEXT,
    image_type,
    preview_of,
)


def text(name: str, content: bytes) -> list[str]:
    shown = preview_of(name, content[:MAX_TEXT], len(content))
    assert shown.kind == "text"
    return shown.lines


def test_text_is_lines() -> None:
    assert text("a.py", b"one\r\ntwo\n") == ["one", "two"]
    assert text("a", "größe\n\nend".encode()) == ["größe", "", "end"]
    assert text("a", b"\xef\xbb\xbfmark") == ["mark"]
    assert text("a", "wide".encode("utf-16")) == ["wide"]
    assert preview_of("a", b"", 0).kind == "empty"
    assert preview_of("a", b"a\0b", 3).kind == "binary"
    assert preview_of("a", bytes(range(128, 256)), 128).kind == "binary"


def test_what_is_large_is_cut_and_said() -> None:
    content = ("é" * 99 + "\n").encode() * 20_000
    shown = preview_of("log", content[:MAX_TEXT], len(content))
    assert shown.note == "The first MiB is shown."
    assert "\ufffd" not in "".join(shown.lines)
    many = preview_of("log", b"x\n" * 30_000, 60_000)
    assert (len(many.lines), many.note) == (MAX_LINES, "The first 20,000 lines are shown.")
    long = preview_of("log", b"y" * 5_000, 5_000)
    assert long.lines == ["y" * MAX_LINE + "…"]
    assert long.note == "Longer lines are cut after 2,000 characters."


def test_tables() -> None:
    shown = preview_of("a.csv", b'a,b\n"x, y",2\n3\n', 15)
    assert (shown.kind, shown.rows) == ("table", [["a", "b"], ["x, y", "2"], ["3", ""]])
    assert preview_of("a.tsv", b"a\tb\n1\t2\n", 8).rows == [["a", "b"], ["1", "2"]]
    assert preview_of("a.csv", b"no table\n", 9).kind == "text"
    large = "\n".join(",".join("x" for _ in range(80)) for _ in range(400)).encode()
    cut = preview_of("a.csv", large, len(large))
    assert (len(cut.rows), len(cut.rows[0])) == (MAX_ROWS + 1, MAX_COLUMNS)
    assert cut.note == "The first 200 rows are shown; the first 50 of 80 columns are shown."
    half = preview_of("a.csv", b"a,b\n1,2\n3", 9_000)
    assert half.rows == [["a", "b"], ["1", "2"]]


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.md", "a.ipynb", "a.xhtml", "a.js"])
def test_what_acts_elsewhere_is_text_here(name: str) -> None:
    assert text(name, b"<script>alert(1)</script>") == ["<script>alert(1)</script>"]


def test_images_are_told_by_their_first_bytes() -> None:
    kinds = {
        b"\x89PNG\r\n\x1a\n": "image/png",
        b"\xff\xd8\xff\xe0": "image/jpeg",
        b"GIF89a": "image/gif",
        b"RIFF\x01\x02\x03\x04WEBP": "image/webp",
        b"BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00": "image/bmp",
        b"<svg xmlns='http://www.w3.org/2000/svg'>": None,
        b"BM is how this text begins": None,
        b"": None,
    }
    assert {head: image_type(head) for head in kinds} == kinds
    assert preview_of("x", b"\xff\xd8\xff", 100).kind == "image"
    assert preview_of("x", b"\xff\xd8\xff", MAX_IMAGE + 1).note == "The image is too large to be shown here."


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(_values.filter(lambda value: value != ""))
def test_json_is_the_same_document(value: object) -> None:
    content = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        content.decode()
    except UnicodeDecodeError:
        return
    shown = preview_of("a.json", content, len(content))
    if any(len(line) > MAX_LINE for line in shown.lines):
        return
    assert json.loads("\n".join(shown.lines)) == value


def test_json_has_a_line_for_each_value_and_keeps_how_it_is_written() -> None:
    assert text("a.json", b'{"a":1.10,"b":[1e400,{}],"c":[],"a":"x:,{"}') == [
        "{",
        '  "a": 1.10,',
        '  "b": [',
        "    1e400,",
        "    {}",
        "  ],",
        '  "c": [],',
        '  "a": "x:,{"',
        "}",
    ]
    deep = b"[" * 100_000 + b"]" * 100_000
    assert preview_of("a.json", deep, len(deep)).kind == "text"
    wide = b"[" + b"[" * 900 + b",".join([b"1"] * 300_000) + b"]" * 901
    assert sum(map(len, text("a.json", wide))) < 3 * MAX_TEXT
    assert not re.search(r"\n", "".join(text("a.json", b"{broken")))
