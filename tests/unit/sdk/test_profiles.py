"""Which server, as whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from dais.sdk.errors import Invalid
from dais.sdk.profiles import DEFAULT_URL, Profile, find_access, profiles_path, read_profiles, write_profile


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAIS_CONFIG_DIR", str(tmp_path / "config"))


def test_without_anything_the_default_address_and_no_token() -> None:
    access = find_access()
    assert (access.url, access.token, access.account) == (DEFAULT_URL, None, None)


def test_profiles_are_written_privately_and_read_back() -> None:
    odd = 'quote" back\\slash\nnewline\x7f ä'
    path = write_profile("default", Profile("http://localhost:8765", "dais_user_1", "local.ann"))
    write_profile('odd "name"', Profile(token=odd))
    assert path == profiles_path()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert read_profiles() == {
        "default": Profile("http://localhost:8765", "dais_user_1", "local.ann"),
        'odd "name"': Profile(token=odd),
    }
    assert list(path.parent.iterdir()) == [path]


def test_arguments_come_before_the_environment_and_that_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write_profile("default", Profile("http://one:1", "token-1", "acme.one"))
    write_profile("other", Profile("http://two:2/", "token-2", "acme.two"))
    assert find_access().token == "token-1"
    monkeypatch.setenv("DAIS_PROFILE", "other")
    assert (find_access().url, find_access().token, find_access().account) == ("http://two:2", "token-2", "acme.two")
    monkeypatch.setenv("DAIS_TOKEN", "token-3")
    monkeypatch.setenv("DAIS_ACCOUNT", "acme.three")
    access = find_access()
    assert (access.token, access.account, access.token_origin) == ("token-3", "acme.three", "DAIS_TOKEN")
    access = find_access(token="token-4", account="acme.four", profile="default")
    assert (access.url, access.token, access.account) == ("http://one:1", "token-4", "acme.four")


def test_a_token_goes_to_its_own_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    write_profile("default", Profile("http://localhost:8765", "token-1"))
    write_profile("lab", Profile("https://dais.example.org", "token-2"))
    monkeypatch.setenv("DAIS_URL", "http://127.0.0.1:8765/")
    assert find_access().token == "token-1"
    monkeypatch.setenv("DAIS_URL", "https://dais.example.org:443")
    assert find_access().token == "token-2"
    monkeypatch.setenv("DAIS_URL", "https://elsewhere.example.org")
    assert find_access().token is None
    assert find_access(url="http://localhost:8766").token is None


def test_the_token_does_not_show() -> None:
    write_profile("default", Profile("http://localhost:8765", "dais_user_secret"))
    assert "secret" not in repr(find_access())
    assert "secret" not in repr(read_profiles())


@pytest.mark.parametrize("text", ["[default\n", "x = 1\n", "[default]\nurl = 3\n", "\xff"])
def test_a_broken_file_is_named(text: str) -> None:
    profiles_path().parent.mkdir(parents=True)
    profiles_path().write_text(text, encoding="latin-1")
    with pytest.raises(Invalid, match=r"profiles\.toml"):
        find_access()


@pytest.mark.parametrize("url", ["localhost:8765", "ftp://x", "http://", "nonsense"])
def test_what_is_no_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAIS_URL", url)
    with pytest.raises(Invalid, match="from DAIS_URL"):
        find_access()


def test_an_unknown_profile_lists_those_there_are() -> None:
    write_profile("lab", Profile("https://dais.example.org"))
    with pytest.raises(Invalid, match="there: lab"):
        find_access(profile="lba")
