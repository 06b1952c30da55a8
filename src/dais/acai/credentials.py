"""Who talks to the server: a token and a project, from the environment or `~/.acai/credentials`."""

from __future__ import annotations

import configparser
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dais.acai.calling import post
from dais.acai.errors import AcaiError
from dais.sdk import Client

TOKEN, PROJECT = "ACAI_TOKEN", "ACAI_PROJECT"
_OF_A_PROJECT = "dais_acai_"
_DEFAULT = "default"
_client: Client | None = None
_project = re.compile(r"[^\s\[\]\x00-\x1f]{1,200}")


class Credentials:
    """A project and a token. The environment wins over the file; without either a profile of Dais holds."""

    def __init__(self, project: str | None, token: str | None) -> None:
        self.project = project
        self._token = token

    def __repr__(self) -> str:
        return f"Credentials(project={self.project!r}, token={'***' if self._token else None})"

    @property
    def token(self) -> str | None:
        return self._token

    @staticmethod
    def load() -> Credentials:
        """What holds now. Raises AcaiError for a file that cannot be read."""
        project, token = os.environ.get(PROJECT) or None, os.environ.get(TOKEN) or None
        if token:
            return Credentials(project, token)
        known = _read()
        name = project or known.get(_DEFAULT, "project_name", fallback=None)
        return Credentials(name, known.get(name, "token", fallback=None) if name else None)

    @staticmethod
    def configure(project_name: str, token: str) -> Credentials:
        """Store a project's token in the file, and make it the default; nobody else may read the file."""
        if not _project.fullmatch(project_name) or project_name in (_DEFAULT, "DEFAULT"):
            raise AcaiError(f"{project_name[:80]!r} cannot be the name of a project")
        if not token.strip() or not token.isprintable():
            raise AcaiError("the token is empty, or no line of text")
        known = _read()
        for section, key, value in ((_DEFAULT, "project_name", project_name), (project_name, "token", token)):
            if not known.has_section(section):
                known.add_section(section)
            known.set(section, key, value)
        place = _place()
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, aside = tempfile.mkstemp(dir=place.parent)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            known.write(file)
        Path(aside).replace(place)
        refresh()
        return Credentials.load()


def login(token: str) -> None:
    """Use a token from now on, here and in processes that are started from here."""
    os.environ[TOKEN] = token
    refresh()


def refresh() -> None:
    """Look at the environment and the files again with the next call."""
    global _client
    if _client is not None:
        _client.close()
    _client = None


def has_logged_in(token_dict: Mapping[str, str | None]) -> bool:
    """Whether a token is there at all (under `token` or `ACAI_TOKEN`); whether it is good only the server knows."""
    return bool(token_dict.get("token") or token_dict.get(TOKEN))


def client() -> Client:
    """The connection that all classes share."""
    global _client
    if _client is None:
        found = Credentials.load()
        _client = Client(token=found.token, account=_account(found))
    return _client


def _account(found: Credentials) -> str | None:
    """The account of a project: a project's token says which; for another, the one that is named."""
    if found.token is not None and found.token.startswith(_OF_A_PROJECT):
        return str(post("resolve_project_id", {"token": found.token})["bucket_name"])
    return found.project


def _place() -> Path:
    return Path.home() / ".acai" / "credentials"


def _read() -> configparser.ConfigParser:
    known = configparser.ConfigParser(interpolation=None)
    try:
        known.read(_place(), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise AcaiError(f"{_place()} cannot be read: {error}; mend it or move it away") from error
    return known
