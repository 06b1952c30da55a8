"""Where an installation is, unless one is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dais.sdk.installation import ROOT_DATA_DIR, default_data_dir


def test_root_s_is_where_another_user_may_enter_unless_there_is_one_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAIS_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data_dir() == (ROOT_DATA_DIR if os.geteuid() == 0 else tmp_path / "dais")
    (tmp_path / "dais").mkdir()
    assert default_data_dir() == tmp_path / "dais"
    monkeypatch.setenv("DAIS_DATA_DIR", "/elsewhere")
    assert default_data_dir() == Path("/elsewhere")
