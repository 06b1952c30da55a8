"""`.dockerignore`, as Docker reads it."""

from __future__ import annotations

import pytest

from dais.engines.container.ignored import Ignored


@pytest.mark.parametrize(
    "lines, out, sent",
    [
        (["node_modules"], ["node_modules", "node_modules/a/b"], ["src/node_modules", "node_modules2"]),
        (["**/node_modules"], ["node_modules", "src/node_modules/x"], ["src/x"]),
        (["*.log"], ["a.log"], ["src/a.log", "a.logs"]),
        (["**/*.log"], ["a.log", "x/y/a.log"], ["log"]),
        (["/build/", "./tmp"], ["build/x", "tmp"], ["src/build"]),
        (["*", "!src", "src/*.tmp"], ["README", "src/a.tmp", "srcs"], ["src", "src/a.py", "src/deep/a.tmp"]),
        (["a?c", "[xy]z"], ["abc", "xz"], ["ac", "zz", "a/c"]),
        (["# note", "", "!a"], [], ["a", "# note"]),
        (["docs/**/x"], ["docs/x", "docs/a/b/x"], ["docs/a/b/y"]),
        (["a.b"], ["a.b"], ["aXb"]),
    ],
)
def test_patterns(lines: list[str], out: list[str], sent: list[str]) -> None:
    ignored = Ignored(lines)
    assert [path for path in out if not ignored(path)] == []
    assert [path for path in sent if ignored(path)] == []


def test_the_dockerfile_is_sent_whatever_is_ignored() -> None:
    ignored = Ignored(["*"], always=("ci/Dockerfile", ".dockerignore"))
    assert not ignored("ci")
    assert not ignored("ci/Dockerfile")
    assert ignored("ci/other")
    assert ignored.has_exceptions
