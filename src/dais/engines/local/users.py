"""Whose files and processes are, when Dais was started as root."""

from __future__ import annotations

import os
import pwd

from dais.engines.local.settings import LocalSettings
from dais.node import Leasing

USER = "dais"
"""The system user that owns an installation, where there is one of that name."""


def data_owner(settings: LocalSettings) -> tuple[int, int]:
    """The uid and gid that files on disk belong to: the user `dais`, else what the settings say."""
    try:
        user = pwd.getpwnam(USER)
    except KeyError:
        return settings.data_uid, settings.data_uid
    return user.pw_uid, user.pw_gid


def leasing(settings: LocalSettings) -> str | None:
    """What a supervisor of this user is told to lease; only root's can.

    Raises ValueError where the settings contradict each other.
    """
    if os.geteuid() != 0:
        return None
    return str(Leasing(*data_owner(settings), settings.first_job_uid, settings.job_uids))
