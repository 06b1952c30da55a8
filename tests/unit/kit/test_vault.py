"""What the installation's keys seal is opened by them alone, in its own place alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dais.kit.errors import Unavailable
from dais.kit.vault import Vault


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets.key"


def test_what_was_sealed_is_opened_in_its_own_place_alone(path: Path) -> None:
    vault = Vault(path)
    sealed = vault.seal(b"hunter2", "secret", "acme", "TOKEN")
    assert b"hunter2" not in sealed.encode()
    assert vault.open(sealed, "secret", "acme", "TOKEN") == b"hunter2"
    assert sealed != vault.seal(b"hunter2", "secret", "acme", "TOKEN"), "the same value looks different each time"
    for other in [("secret", "acme", "OTHER"), ("secret", "acmeTOKEN"), ("secret", "acme", "TOKEN", "")]:
        with pytest.raises(Unavailable) as caught:
            vault.open(sealed, *other)
        assert caught.value.code == "sealed-damaged"


@pytest.mark.parametrize("place", [-3, -30])
def test_a_changed_text_is_refused(path: Path, place: int) -> None:
    vault = Vault(path)
    sealed = vault.seal(b"a longer value, so that there is something to change", "x")
    changed = sealed[:place] + ("A" if sealed[place] != "A" else "B") + sealed[place + 1 :]
    with pytest.raises(Unavailable) as caught:
        vault.open(changed, "x")
    assert caught.value.code == "sealed-damaged"
    with pytest.raises(Unavailable):
        vault.open(sealed[: sealed.rfind(".") + 3], "x")


def test_the_file_is_made_once_and_private(path: Path) -> None:
    sealed = Vault(path).seal(b"value", "x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    path.chmod(0o644)
    assert Vault(path).open(sealed, "x") == b"value"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_key_seals_and_the_old_one_opens_also_in_another_process(path: Path) -> None:
    one, other = Vault(path), Vault(path)
    old = one.seal(b"old", "x")
    first = one.current
    assert one.rotate() != first
    new = one.seal(b"new", "x")
    assert one.current in new
    assert first not in new
    assert [other.open(old, "x"), other.open(new, "x")] == [b"old", b"new"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_missing_key_is_named_with_the_remedy(path: Path) -> None:
    vault = Vault(path)
    sealed = vault.seal(b"value", "x")
    path.unlink()
    another = Vault(path)
    with pytest.raises(Unavailable, match=f"{vault.current}.*backup") as caught:
        another.open(sealed, "x")
    assert caught.value.code == "key-missing"


@pytest.mark.parametrize("content", ["", "no key at all\n", "abcd1234 c2hvcnQ=\n"])
def test_a_file_that_holds_no_key_is_refused(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(Unavailable, match=str(path)) as caught:
        Vault(path)
    assert caught.value.code == "no-keys"


def test_what_was_signed_is_known_again_for_its_own_purpose_alone(path: Path) -> None:
    vault = Vault(path)
    code = vault.sign(b"text", "ticket")
    assert vault.has_signed(b"text", code, "ticket")
    vault.rotate()
    assert vault.has_signed(b"text", code, "ticket"), "by the older key"
    assert not vault.has_signed(b"text!", code, "ticket")
    assert not vault.has_signed(b"text", code, "proof")
    assert not vault.has_signed(b"text", code[:-1] + "x", "ticket")
    assert not vault.has_signed(b"text", "ä" + code, "ticket")
    assert not vault.has_signed(b"text", "", "ticket")
