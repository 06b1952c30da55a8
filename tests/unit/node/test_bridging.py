"""How a supervisor learns in what way a server on another machine reaches it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dais.node.bridging import read_facts

FACTS = {"certificate": "c", "key": "k", "authority": "a", "server_name": "s"}


def test_the_file_is_removed_once_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "invitation"
    path.write_text(json.dumps({**FACTS, "from a newer server": 1}))
    assert read_facts(str(path))["key"] == "k"
    assert not path.exists()
    with pytest.raises(SystemExit, match="cannot be read"):
        read_facts(str(path))


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", json.dumps({**FACTS, "key": 1})])
def test_what_is_no_invitation_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "invitation"
    path.write_text(text)
    with pytest.raises(SystemExit, match=str(path)):
        read_facts(str(path))
