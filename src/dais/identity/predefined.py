"""What the predefined roles allow, and what users may do with themselves: statements, as anybody could write them."""

from __future__ import annotations

from dais.identity.urns import INSTALLATION

ADMIN = "admin"
USER = "user"

_WORK = "+".join(
    f"{kind}:*"
    for kind in ("job", "data", "file", "fileset", "image", "environment", "secret", "experiment", "service")
)


def of_organization(organization: str) -> dict[str, list[str]]:
    """The roles of an organization. Users see it, each other, the machines and environments; administrators do all."""
    return {
        ADMIN: [f"*@{organization}+{organization}:*", _machines()],
        USER: [
            f"organization:get+role:get@{organization}+{organization}:role:*",
            f"user:get@{organization}:user:*",
            f"team:get+role:get@{organization}:team:*",
            _machines(),
            f"environment:get@{organization}:environment:*",
        ],
    }


def of_account(organization: str, account: str) -> dict[str, list[str]]:
    """The roles of an account, which cover the accounts below it. Users work in it; administrators do everything."""
    urn = f"{organization}:account:{account}"
    return {ADMIN: [f"*@{urn}+{urn}:*"], USER: [f"*:get+{_WORK}@{urn}+{urn}:*"]}


def of_team(organization: str, team: str) -> dict[str, list[str]]:
    """The roles of a team. Users see it; administrators do everything with it."""
    urn = f"{organization}:team:{team}"
    return {ADMIN: [f"*@{urn}+{urn}:*"], USER: [f"*:get@{urn}+{urn}:*"]}


def of_oneself(organization: str, user: str) -> list[str]:
    """What a user may do with themselves, their tokens and their sessions."""
    urn = f"{organization}:user:{user}"
    return [f"user:get+user:set@{urn}", f"token:*+session:*+policy:get@{urn}:*"]


def _machines() -> str:
    return f"group:get+node:get+image:get@{INSTALLATION}:*"
