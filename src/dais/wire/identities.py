"""What the native API answers of organizations, users, teams, roles, policies and keys. See `wire.answers`."""

from __future__ import annotations

from dais.wire.answers import Answer


class Organization(Answer, frozen=True, kw_only=True):
    """A top owner. `mfa_required`: its users need a second factor to sign in; `interactive_jobs`: how many of these one
    user may have in its accounts, None: as many as in the installation."""

    id: str
    name: str
    urn: str
    mfa_required: bool = False
    interactive_jobs: int | None = None
    created_at: str


class User(Answer, frozen=True, kw_only=True):
    """A person. `account` is the full name of the personal account; `full_name` is for people to read."""

    id: str
    number: int
    name: str
    urn: str
    organization: str
    account: str
    email: str | None = None
    full_name: str | None = None
    administrator: bool = False
    disabled: bool = False
    created_at: str


class Team(Answer, frozen=True, kw_only=True):
    """Users, and other teams with all of theirs."""

    id: str
    name: str
    full_name: str
    urn: str
    organization: str


class Role(Answer, frozen=True, kw_only=True):
    """What its members inherit the policies of; `parent` is what it is attached to, `parent_type` says what that is."""

    id: str
    name: str
    full_name: str
    urn: str
    organization: str
    parent: str
    parent_type: str
    predefined: bool = False


class Member(Answer, frozen=True, kw_only=True):
    """A member of a team or a role: a `user` or a `team`."""

    id: str
    name: str
    type: str


class Policy(Answer, frozen=True, kw_only=True):
    """Statements that are attached to a user, team or role, its subject. `everywhere`: they reach beyond the
    organization. A role's policies go by the URN of the role."""

    id: str
    urn: str
    subject: str
    subject_type: str
    statements: list[str]
    everywhere: bool = False
    predefined: bool = False
    created_at: str


class Key(Answer, frozen=True, kw_only=True):
    """A bearer token, or a pair that signs (with its `access_key`), without the secret.

    `allow` are the statements that narrow it; None: it is not narrowed. A role's keys go by the URN of the role.
    """

    id: str
    kind: str
    urn: str
    label: str | None = None
    access_key: str | None = None
    allow: list[str] | None = None
    created_at: str
    expires_at: str | None = None
    last_used_at: str | None = None


class NewKey(Key, frozen=True, kw_only=True):
    """A key just made. `secret` is told this once; of a pair it is `ACCESS:SECRET`, which stands in a token's place."""

    secret: str


class Invitation(Answer, frozen=True, kw_only=True):
    """Somebody who is asked in. `state` is `open`, `accepted` or `expired`; `roles` are what they get.

    `mail` is "sent", or says why not; `link` is told once, where the invitation could not be mailed.
    """

    id: str
    email: str
    organization: str
    invited_by: str
    roles: list[str]
    state: str
    mail: str | None = None
    link: str | None = None
    created_at: str
    expires_at: str


class IdentityProvider(Answer, frozen=True, kw_only=True):
    """With whom people sign in. `redirect_uri` is to be registered there; `roles` are `CLAIM=VALUE:ROLE`."""

    id: str
    name: str
    label: str
    issuer: str
    client_id: str
    has_secret: bool
    redirect_uri: str
    scopes: str
    organization: str
    creates_users: bool
    links_by_email: bool
    strong: bool
    internal: bool
    domains: list[str]
    roles: list[str]
    created_at: str
