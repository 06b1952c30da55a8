"""The user's directories are where the library that knows every platform looks for them, too."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from dais.sdk.own_directory import own_directory


@pytest.mark.parametrize("value", [None, "", " ", "relative/place", "/elsewhere", "/else where/", "~/tilde"])
@pytest.mark.parametrize("kind", ["cache", "config", "data"])
def test_they_are_the_platforms(kind: str, value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"XDG_{kind.upper()}_HOME"
    if value is None:
        monkeypatch.delenv(variable, raising=False)
    else:
        monkeypatch.setenv(variable, value)
    assert own_directory(kind) == Path(getattr(platformdirs, f"user_{kind}_dir")("dais"))
