"""Who can be told of a job's end."""

from __future__ import annotations

import pytest

from dais.wire.problems import SpecError
from dais.wire.read import human, read_spec


def test_targets_are_kept_as_written() -> None:
    written = ["https://hooks.example.org:8443/a?b=c", "mail:ann+dais@example.org"]
    spec = read_spec({"command": ["true"], "notify": written})
    assert spec.notify == tuple(written)
    assert human(spec)["notify"] == written
    assert read_spec({"command": ["true"], "notify": ["none"]}).notify == ("none",)


@pytest.mark.parametrize(
    "target, said",
    [
        ("ann@example.org", "nobody that could be told"),
        ("ftp://example.org/", "nobody that could be told"),
        ("https:///path", "nobody that could be told"),
        ("https://example.org:0/", "nobody that could be told"),
        ("https://example.org:99999/", "nobody that could be told"),
        ("https://exa mple.org/", "nobody that could be told"),
        ("https://example.org/\r\nX-Evil: 1", "nobody that could be told"),
        ("https://bücher.example/", "nobody that could be told"),
        ("https://ann:pw@example.org/", "holds a user or a password"),
        ("https://example.org/" + "x" * 2000, "too long"),
        ("mail:", "no mail address"),
        ("mail:ann", "no mail address"),
        ("mail:ann@exam_ple.org", "no mail address"),
        ("mail:ann@example.org\nBcc: x@example.org", "no mail address"),
        ("mail:Ann <ann@example.org>", "no mail address"),
        ("mail:a@example.org,b@example.org", "no mail address"),
    ],
)
def test_what_is_nobody(target: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        read_spec({"command": ["true"], "notify": [target]})
    assert caught.value.path == "notify[0]"
    assert "pw" not in str(caught.value)


def test_what_contradicts_itself() -> None:
    with pytest.raises(SpecError, match="stands beside others"):
        read_spec({"command": ["true"], "notify": ["none", "mail:a@example.org"]})
    with pytest.raises(SpecError, match="given twice"):
        read_spec({"command": ["true"], "notify": ["mail:a@example.org"] * 2})
    with pytest.raises(SpecError, match="at most 8"):
        read_spec({"command": ["true"], "notify": [f"mail:a{n}@example.org" for n in range(9)]})
