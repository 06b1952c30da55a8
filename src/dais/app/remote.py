"""The server's side of supervisors on other machines, made with this installation's keys and settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dais.app.authority import CertificateAuthority
from dais.engines.supervised.remote import Remote
from dais.engines.supervised.settings import RemoteSettings
from dais.kit.errors import Invalid
from dais.kit.vault import Vault


def make_remote(data_dir: Path, settings: Mapping[str, Any], vault: Vault) -> Remote:
    """One for each server process; the first engine that needs it opens it. Raises Invalid `bad-setting`."""
    given: RemoteSettings = settings["remote"]
    try:
        options = given.options()
    except ValueError as error:
        raise Invalid(str(error), code="bad-setting") from error
    return Remote(CertificateAuthority(data_dir, vault), options)
