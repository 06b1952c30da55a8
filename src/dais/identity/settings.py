"""Settings of signing in."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.kit.settings import settings


@settings("identity")
class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How people sign in, and for how long."""

    session_hours: Annotated[
        float, msgspec.Meta(gt=0, description="Hours after which whoever signed in has to sign in again.")
    ] = 720.0
    session_idle_hours: Annotated[
        float, msgspec.Meta(gt=0, description="Hours after which a browser that asked for no page is signed out.")
    ] = 168.0
    password_memory: Annotated[
        int, msgspec.Meta(ge=8, le=4096, description="MiB that hashing one password takes (argon2id).")
    ] = 64
    password_passes: Annotated[
        int, msgspec.Meta(ge=1, le=100, description="How often that memory is gone through.")
    ] = 3
    password_parallel: Annotated[
        int, msgspec.Meta(ge=1, le=64, description="Passwords that are hashed at a time; others wait their turn.")
    ] = 2


DEFAULTS = IdentitySettings()
"""What holds where nothing is set."""
