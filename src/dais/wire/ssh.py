"""What the native API answers of the way into jobs through SSH. See `wire.answers`."""

from __future__ import annotations

from dais.wire.answers import Answer


class SshGateway(Answer, frozen=True, kw_only=True):
    """Where the gateway is, and what it shows to be known by.

    `host` is empty where it is the API's own; `port` is None where it does not listen, and `problem` says why: it is
    reached through the API then. `host_key` is a line as in known_hosts without names, `alias` what it is known under.
    """

    host: str = ""
    port: int | None = None
    host_key: str
    alias: str
    problem: str = ""


class SshCertificate(Answer, frozen=True, kw_only=True):
    """A certificate for a user's public key; `certificate` is the line that OpenSSH has in `…-cert.pub`."""

    certificate: str
    user: str
    expires_at: str


class SshKey(Answer, frozen=True, kw_only=True):
    """A public key that lets its user in; `fingerprint` is as `ssh-keygen -l` prints it."""

    id: str
    urn: str
    label: str | None = None
    kind: str
    fingerprint: str
    public: str
    created_at: str
    last_used_at: str | None = None
