"""The operator's way in: a token at the first start, the right address at any other."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from dais.app.standing import Profiles, address
from dais.identity import authenticate, bootstrap, first_account, is_empty, new_secret, recover
from dais.kit.data_directory import unwritable
from dais.kit.database import Database
from dais.kit.errors import Unauthenticated
from dais.sdk.errors import DaisError as ClientError
from dais.sdk.profiles import Profile

log = logging.getLogger(__name__)

TOKEN_FILE = "administrator-token"  # noqa: S105 (a file's name)
"""Where the first token goes when the profile file cannot be written."""


def give_access(db: Database, url: str, data_dir: Path, profiles: Profiles, *, new_token: bool = False) -> list[str]:
    """See to it that the operator's client finds this server at `url`; what was done, in sentences.

    At the first start the installation's administrator is made. The token is put away before it is good for
    anything, so that a crash in between locks nobody out. With `new_token` an administrator who has lost theirs
    gets another. Raises Unavailable when it cannot be put anywhere.
    """
    secret = new_secret("user")
    if not db.read_sync(is_empty):
        if new_token:
            account = db.write_sync(recover, secret)
            return [_keep(Profile(url, secret, account), data_dir, profiles)]
        return _follow_address(db, url, profiles)
    login = profiles.login()
    note = _keep(Profile(url, secret, first_account(login)), data_dir, profiles)
    db.write_sync(bootstrap, login, secret)
    return [note]


def _keep(profile: Profile, data_dir: Path, profiles: Profiles) -> str:
    assert profile.token is not None
    try:
        name = _free_name(profile, profiles.read())
        path = profiles.write(name, profile)
    except (OSError, ClientError) as error:
        path = data_dir / TOKEN_FILE
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{profile.token}\n")
        except OSError as failed:
            raise unwritable(data_dir, failed) from failed
        return f"{error}: so the administrator's token is in {path}; set DAIS_URL and DAIS_TOKEN to use it"
    use = (
        "" if name == "default" else f"; another server's is the default: say --profile {name}, or DAIS_PROFILE={name}"
    )
    return f"the administrator's token is in {path}, profile {name}{use}"


def _free_name(profile: Profile, profiles: Mapping[str, Profile]) -> str:
    """The profile to write: `default`, unless that is for another server; never one that would lose a token."""
    number = 1
    name = "default"
    while name in profiles and address(profiles[name].url) != address(profile.url):
        number += 1
        name = "local" if number == 2 else f"local-{number - 1}"
    return name


def _follow_address(db: Database, url: str, profiles: Profiles) -> list[str]:
    """Point the profiles whose token is this installation's to where it listens now."""
    notes = []
    try:
        for name, profile in profiles.read().items():
            if profile.token is None or address(profile.url) == address(url) or not _is_local(profile.url):
                continue
            try:
                db.read_sync(authenticate, profile.token)
            except Unauthenticated:
                continue
            path = profiles.write(name, Profile(url, profile.token, profile.account))
            notes.append(f"profile {name} in {path} points to {url} now")
    except (OSError, ClientError) as error:
        log.warning("the profile file was left as it is: %s", error)
    return notes


def _is_local(url: str | None) -> bool:
    return address(url)[0] in ("localhost", "")
