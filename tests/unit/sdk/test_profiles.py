"""Which server, as whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from dais.sdk.errors import Invalid
from dais.sdk.profiles import (
    DEFAULT_URL,
    Profile,
    current_name,
    find_access,
    login_target,
    profiles_path,
    read_profiles,
    remove_profile,
    use_profile,
    write_profile,
)


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
    assert (access.token, access.account, access.token_origin) == (
        "token-3",
        "acme.three",
        "the environment variable DAIS_TOKEN",
    )
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


@pytest.mark.parametrize("text", ["[default\n", "x = 1\n", "use = 1\n", "[default]\nurl = 3\n", "\xff"])
def test_a_broken_file_is_named(text: str) -> None:
    profiles_path().parent.mkdir(parents=True)
    profiles_path().write_text(text, encoding="latin-1")
    with pytest.raises(Invalid, match=r"profiles\.toml"):
        find_access()


@pytest.mark.parametrize("url", ["localhost:8765", "ftp://x", "http://", "nonsense"])
def test_what_is_no_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAIS_URL", url)
    with pytest.raises(Invalid, match="from the environment variable DAIS_URL"):
        find_access()


def test_an_unknown_profile_lists_those_there_are() -> None:
    write_profile("lab", Profile("https://dais.example.org"))
    with pytest.raises(Invalid, match="there: lab"):
        find_access(profile="lba")


def test_the_profile_in_use_is_kept_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write_profile("default", Profile("http://one:1", "token-1"))
    write_profile("lab", Profile("http://two:2", "token-2"))
    use_profile("lab")
    write_profile("other", Profile("http://three:3"))
    assert (current_name(), find_access().token, find_access().profile) == ("lab", "token-2", "lab")
    assert find_access(profile="default").token == "token-1"
    monkeypatch.setenv("DAIS_PROFILE", "other")
    assert (current_name(), current_name("default")) == ("other", "default")
    monkeypatch.delenv("DAIS_PROFILE")
    remove_profile("lab")
    assert (current_name(), set(read_profiles())) == ("default", {"default", "other"})
    for name in ("lab", "use"):
        with pytest.raises(Invalid, match=f"there is no profile '{name}'"):
            use_profile(name)
    for name in ("use", " "):
        with pytest.raises(Invalid, match="cannot be called"):
            write_profile(name, Profile())


def test_the_environment_wins_over_a_named_profile_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    write_profile("lab", Profile("http://two:2", "token-2"))
    assert find_access(profile="lab").outdone == ()
    monkeypatch.setenv("DAIS_TOKEN", "token-3")
    assert "DAIS_TOKEN is set and wins over the token of profile 'lab'" in find_access(profile="lab").outdone[0]
    assert find_access().outdone == ()
    assert find_access(profile="lab", token="").token is None
    monkeypatch.delenv("DAIS_TOKEN")
    monkeypatch.setenv("DAIS_URL", "http://elsewhere:1")
    access = find_access(profile="lab")
    assert "wins over the address of profile 'lab'" in access.outdone[0]
    assert (access.token, access.profile) == (None, "")


def test_where_a_sign_in_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert login_target() == ("default", DEFAULT_URL)
    assert login_target("https://dais.example.org/") == ("default", "https://dais.example.org")
    write_profile("default", Profile("http://localhost:8765", "token-1"))
    assert login_target("http://127.0.0.1:8765") == ("default", "http://127.0.0.1:8765")
    assert login_target("https://dais.example.org") == ("dais.example.org", "https://dais.example.org")
    write_profile("dais.example.org", Profile("https://elsewhere.example.org"))
    assert login_target("https://dais.example.org")[0] == "dais.example.org-2"
    write_profile("lab", Profile("https://dais.example.org"))
    assert login_target("https://dais.example.org")[0] == "lab"
    assert login_target("https://dais.example.org", "new") == ("new", "https://dais.example.org")
    monkeypatch.setenv("DAIS_PROFILE", "lab")
    assert login_target() == ("lab", "https://dais.example.org")
