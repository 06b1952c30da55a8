"""Which ID tokens are believed (OpenID Connect Core 3.1.3.7). Nothing here uses the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dais.identity.sso.linking import checked_email
from dais.identity.sso.types import Claims, IdentityProvider
from dais.kit.errors import Unauthenticated

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Signatures by a key that the provider alone has. Never `none`, and never HMAC, whose key others could choose."""
LEEWAY = 60
"""Seconds by which clocks may differ."""
MOST_BYTES = 32 << 10
MOST_KEYS = 100


class UnknownKey(Exception):
    """The token was signed with a key that is not among those known: they may have been rotated."""


def check_id_token(
    raw: str,
    keys: Sequence[Mapping[str, Any]],
    provider: IdentityProvider,
    *,
    nonce: str,
    access_token: str | None,
    now: int,
) -> dict[str, Any]:
    """The claims of a token that is good. `keys` are the provider's JWKs; `now` is in seconds.

    Raises UnknownKey, and Unauthenticated `bad-id-token` with what was wrong.
    """
    from authlib.oidc.core import CodeIDToken
    from joserfc import jwt
    from joserfc.errors import JoseError

    if len(raw) > MOST_BYTES:
        raise bad_token("it is too large")
    key = _key_of(raw, keys)
    try:
        token = jwt.decode(raw, key, algorithms=ALGORITHMS)
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "value": provider.issuer},
                "aud": {"essential": True, "value": provider.client_id},
            },
            params={"nonce": nonce, "client_id": provider.client_id, "access_token": access_token},
        )
        claims.validate(now=now, leeway=LEEWAY)
    except (JoseError, ValueError, TypeError) as error:
        raise bad_token(str(error)) from error
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
        raise bad_token("its subject is no text of 1 to 255 characters")
    return dict(claims)


def claims_of(found: Mapping[str, Any]) -> Claims:
    """What matters of the claims of somebody."""
    verified = found.get("email_verified") in (True, "true")
    login, full_name = found.get("preferred_username"), found.get("name")
    return Claims(
        subject=found["sub"],
        email=checked_email(found.get("email")) if verified else None,
        login=login if isinstance(login, str) else None,
        full_name=full_name if isinstance(full_name, str) else None,
        all=dict(found),
    )


def bad_token(why: str) -> Unauthenticated:
    """The provider's answer proves nothing; what was wrong with it is told to whoever runs both."""
    return Unauthenticated(
        f"what the identity provider sent does not prove who you are ({why[:200]}); begin again, and tell an "
        "administrator if it happens again",
        code="bad-id-token",
    )


def _key_of(raw: str, keys: Sequence[Mapping[str, Any]]) -> Any:
    """The one key that the token says it was signed with, or the only one that can have been it."""
    from joserfc import jwk, jws
    from joserfc.errors import JoseError

    try:
        header = jws.extract_compact(raw.encode()).headers()
    except (JoseError, ValueError, TypeError) as error:
        raise bad_token(f"it is no token: {error}") from error
    algorithm, wanted = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise bad_token(f"it is signed by {str(algorithm)[:20]!r}, which is not taken")
    kind = {"R": "RSA", "P": "RSA"}.get(str(algorithm)[0]) or ("OKP" if str(algorithm).startswith("Ed") else "EC")
    fitting = [
        key
        for key in keys[:MOST_KEYS]
        if key.get("kty") == kind
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (wanted is None or key.get("kid") == wanted)
    ]
    if len(fitting) != 1:
        raise UnknownKey(f"{len(fitting)} keys fit")
    try:
        return jwk.import_key(dict(fitting[0]))
    except (JoseError, ValueError, TypeError) as error:
        raise bad_token(f"the provider's key cannot be used: {error}") from error
