"""Paths below a root: what is refused, and that no chain of allowed links leads outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dais.wire.paths import PathError, check_path, clean_path, stays_inside


@pytest.mark.parametrize(
    "written, clean",
    [("", ""), (".", ""), ("./a//b/", "a/b"), ("a/./b", "a/b"), ("...", "..."), ("a\nb", "a\nb"), ("<b>", "<b>")],
)
def test_paths_are_brought_into_one_form(written: str, clean: str) -> None:
    assert clean_path(written) == clean


@pytest.mark.parametrize(
    "written, code",
    [
        ("/etc/passwd", "absolute-path"),
        ("a/../b", "path-outside"),
        ("..", "path-outside"),
        ("a\0b", "nul-character"),
        ("a\udc80", "not-utf8"),
        ("x" * 256, "name-too-long"),
        ("ü" * 128, "name-too-long"),
        ("abcdefg/" * 600, "path-too-long"),
    ],
)
def test_paths_that_cannot_be_are_refused_with_their_reason(written: str, code: str) -> None:
    with pytest.raises(PathError) as refused:
        clean_path(written)
    assert refused.value.code == code
    assert len(str(refused.value)) < 400
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("path", ["", "a//b", "./a", "a/", "a/."])
def test_only_the_one_form_is_checked(path: str) -> None:
    with pytest.raises(PathError):
        check_path(path)


@pytest.mark.parametrize(
    "link, target, inside",
    [
        ("a", "b", True),
        ("a", "b/c", True),
        ("d/a", "../b", True),
        ("d/a", "../../b", False),
        ("a", "..", False),
        ("a", "/etc", False),
        ("a", "b/../c", False),  # b may be a link itself: who knows where its .. is
        ("a", "", False),
        ("d/e/a", "./../../x", True),
        ("a", ".", True),
    ],
)
def test_links_stay_inside(link: str, target: str, inside: bool) -> None:
    assert stays_inside(link, target) is inside


_part = st.sampled_from(["a", "b", "..", "."])
_target = st.lists(_part, min_size=1, max_size=5).map("/".join)


@given(st.dictionaries(st.sampled_from(["a", "b", "d/a", "d/b", "d/e/a", "d/e/b"]), _target, min_size=1))
def test_no_chain_of_allowed_links_leaves_the_root(
    tmp_path_factory: pytest.TempPathFactory, links: dict[str, str]
) -> None:
    root = tmp_path_factory.mktemp("root")
    (root / "d/e").mkdir(parents=True)
    for link, target in links.items():
        if stays_inside(link, target):
            (root / link).symlink_to(target)
    for link in links:
        if (root / link).is_symlink():
            try:
                end = Path(os.path.realpath(root / link, strict=True))
            except OSError:
                continue  # it leads nowhere, or in circles
            assert end.is_relative_to(root)
