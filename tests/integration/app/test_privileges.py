"""Whether the server can be another user than root: what root asks before it trusts that user with nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.app.privileges import Obstacle, root_configuration, whom
from tests.support.needs import needs_root
from tests.support.places import open_place

SERVER = 13010


@pytest.fixture
def place() -> Iterator[Path]:
    needs_root()
    with open_place() as directory:
        yield directory


def _config(place: Path, text: str = "[local]\ndata_uid = 61330\n", *, uid: int = 0, mode: int = 0o600) -> None:
    (place / "data").mkdir(exist_ok=True)
    file = place / "data/dais.toml"
    file.write_text(text)
    os.chown(file, uid, 0)
    file.chmod(mode)


def test_it_is_the_user_of_the_settings_and_leases_others(place: Path) -> None:
    found = whom(place / "data", None)
    assert (found.uid, found.gid, found.lease) == (SERVER, SERVER, f"{SERVER}:{SERVER}:1900000000:8192")
    assert not (place / "data").exists()
    assert whom(place / "not/made/yet", None).uid == SERVER


def test_root_acts_by_a_configuration_that_only_root_can_have_written(place: Path) -> None:
    _config(place)
    assert whom(place / "data", None).uid == 61330
    assert list(root_configuration(place / "data", None)) == [place / "data/dais.toml"]
    for uid, mode in ((SERVER, 0o600), (0, 0o620), (0, 0o602)):
        _config(place, uid=uid, mode=mode)
        assert whom(place / "data", None).uid == SERVER
        assert root_configuration(place / "data", None) == {}
    (place / "data/dais.toml").unlink()
    (place / "data/dais.toml").mkdir()
    assert whom(place / "data", None).uid == SERVER


@pytest.mark.parametrize(
    "text, words",
    [
        ("[local]\ndata_uid = 0\n", "data_uid"),
        ("[local]\ndata_uid = 1900000005\n", "is the files' owner"),
        ("[local]\nfirst_job_uid = 2147483000\n", "no such ids"),
        ("[local]\nisolation = 'process'\n", "without a sandbox jobs run as the server"),
        ("[local", "cannot be read"),
    ],
)
def test_settings_by_which_it_cannot_be_are_named(place: Path, text: str, words: str) -> None:
    _config(place, text)
    with pytest.raises(Obstacle, match=words):
        whom(place / "data", None)


def test_a_place_that_it_may_not_enter_or_could_replace_is_named(place: Path) -> None:
    (place / "closed").mkdir(mode=0o700)
    with pytest.raises(Obstacle, match=f"may not enter {place}/closed, where the data directory is; choose"):
        whom(place / "closed/data", None)
    (place / "theirs").mkdir()
    os.chown(place / "theirs", SERVER, SERVER)
    with pytest.raises(Obstacle, match="could put another directory in the place of"):
        whom(place / "theirs/data", None)
    (place / "anybody").mkdir()
    (place / "anybody").chmod(0o1777)
    assert whom(place / "anybody/data", None).uid == SERVER


def test_what_root_executes_must_be_readable_and_not_writable(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = place / "inner/packages"
    code.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(code))
    assert whom(place / "data", None).uid == SERVER
    code.chmod(0o700)
    with pytest.raises(Obstacle, match=f"may not read {code}"):
        whom(place / "data", None)
    code.chmod(0o755)
    code.parent.chmod(0o700)
    with pytest.raises(Obstacle, match=f"may not enter {code.parent}, where {code} is; install"):
        whom(place / "data", None)
    code.parent.chmod(0o755)
    for theirs in (code, code.parent):
        os.chown(theirs, SERVER, SERVER)
        with pytest.raises(Obstacle, match=f"can write {theirs}, which root executes"):
            whom(place / "data", None)
        os.chown(theirs, 0, 0)


def test_an_sqlite_database_elsewhere_must_be_writable(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "elsewhere").mkdir()
    monkeypatch.setenv("DAIS_DATABASE_URL", f"sqlite:///{place}/elsewhere/dais.db")
    with pytest.raises(Obstacle, match=f"may not write {place}/elsewhere, where the database is; move it into"):
        whom(place / "data", None)
    os.chown(place / "elsewhere", SERVER, SERVER)
    assert whom(place / "data", None).uid == SERVER
    (place / "elsewhere/dais.db").touch()
    with pytest.raises(Obstacle, match="may not write"):
        whom(place / "data", None)
    monkeypatch.setenv("DAIS_DATABASE_URL", f"sqlite:///{place}/data/dais.db")
    assert whom(place / "data", None).uid == SERVER
