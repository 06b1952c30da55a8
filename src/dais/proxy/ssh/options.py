"""How the gateway speaks SSH."""

from __future__ import annotations

import logging
from typing import Any

import asyncssh

from dais.proxy.ssh.connection import Door
from dais.proxy.ssh.settings import SshSettings

WINDOW = 2 << 20
"""Bytes of one channel that are under way: what waits for a slow reader is never more."""

CIPHERS = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr"]
"""Every client has one of these. ChaCha20, which OpenSSH chooses first, was the slowest when measured."""


async def make_options(host_key: asyncssh.SSHKey, settings: SshSettings) -> Any:
    """asyncssh's options for every connection."""
    # It would write commands, which may hold secrets, and everybody's comings into our log.
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    return await asyncssh.SSHServerConnectionOptions.construct(
        config=None,
        server_factory=Door,
        server_host_keys=[host_key],
        server_version="Dais",
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        allow_pty=True,
        line_editor=False,
        x11_forwarding=False,
        agent_forwarding=True,
        encoding=None,
        login_timeout=settings.login_seconds,
        keepalive_interval=settings.silence_seconds,
        keepalive_count_max=3,
        window=WINDOW,
        compression_algs=["none"],
        encryption_algs=CIPHERS,
    )
