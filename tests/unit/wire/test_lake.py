"""How files, directories and file sets are named."""

from __future__ import annotations

import pytest

from dais.wire.lake import DirectoryRef, FileRef, SetRef, lake_directory, parent_of, parse_entity, parse_file, parse_set
from dais.wire.paths import PathError


def test_names_of_the_seed_are_read() -> None:
    assert parse_entity("/my_data/test.json") == FileRef("/my_data/test.json")
    assert parse_entity("/my_data/a/b.txt:3") == FileRef("/my_data/a/b.txt", 3)
    assert parse_entity("@file_set_a:1") == SetRef("file_set_a", 1)
    assert parse_entity("@shakespeare.texts") == SetRef("shakespeare.texts")
    assert parse_entity("data/") == DirectoryRef("/data/")
    assert parse_file("data/train.json:2") == FileRef("/data/train.json", 2)
    assert parse_set("HotpotQA:1") == SetRef("HotpotQA", 1)
    assert str(parse_file("a:3")) == "/a:3"
    assert str(parse_set("a")) == "a"


def test_one_name_has_one_form() -> None:
    composed, combined = "/caf\u00e9.txt", "/cafe\u0301.txt"
    assert parse_file(combined) == parse_file(composed) == FileRef(composed)
    assert parse_file("a.txt") == parse_file("/a.txt")
    assert lake_directory("") == lake_directory("/") == "/"
    assert lake_directory("a/b") == lake_directory("/a/b/") == "/a/b/"
    assert [parent_of(path) for path in ("/a", "/a/", "/a/b", "/a/b/")] == ["/", "/", "/a/", "/a/"]


@pytest.mark.parametrize(
    "text, code, remedy",
    [
        ("/" + "x/" * 2499 + "x", "path-too-long", "at most 1,024"),
        ("/" + "x" * 256, "name-too-long", "255"),
        ("/a//b", "bad-path", "leave out"),
        ("//a", "bad-path", "leave out"),
        ("/a/../b", "path-outside", "write where it leads"),
        ("..", "path-outside", "write where it leads"),
        ("/a/./b", "bad-path", "leave out"),
        ("/a\0b", "control-character", "rename"),
        ("/a\nb", "control-character", "rename"),
        ("/a\u0085b", "control-character", "rename"),
        ("/a\udcffb", "not-utf8", "rename"),
        ("", "empty-path", "name a file"),
        ("/", "bad-path", "name a file"),
        ("/a/", "bad-path", "name a file"),
        ("/a:1:2", "bad-path", "rename"),
        ("/a:0", "bad-version", "count 1, 2, 3"),
        ("/a:99999999999999999999", "bad-path", "rename"),
        ("/a:9999999999", "bad-version", "leave it out"),
        (":3", "empty-path", "name a file"),
    ],
)
def test_what_no_file_is_called_is_refused_with_the_remedy(text: str, code: str, remedy: str) -> None:
    with pytest.raises(PathError, match=remedy) as refused:
        parse_file(text)
    assert refused.value.code == code
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("text", ["", "@a", "a b", "-a", ".a", "a/b", "é", "x" * 129, "a:", "a:x", "a\n"])
def test_what_no_file_set_is_called_is_refused(text: str) -> None:
    with pytest.raises(PathError, match="begins with a letter") as refused:
        parse_set(text)
    assert refused.value.code == "bad-name"
