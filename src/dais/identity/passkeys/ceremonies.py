"""What browsers are asked for and what they answer, by py_webauthn. Nothing here touches the database."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from dais.identity.types import User
from dais.kit.errors import Invalid, Unauthenticated

MOST_BYTES = 16 << 10
"""Of a browser's answer."""


class Site(msgspec.Struct, frozen=True):
    """What passkeys are made for: `id` is a host name, `origin` the address of the pages."""

    id: str
    origin: str

    @classmethod
    def of(cls, url: str) -> Site | None:
        """The site of the installation's address; None where browsers make no passkeys: bare numbers, plain http."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        local = host == "localhost" or host.endswith(".localhost")
        if (
            not host
            or ":" in host
            or host.replace(".", "").isdigit()
            or parts.scheme not in ("https", "http" if local else "")
        ):
            return None
        usual = parts.port is None or parts.port == {"https": 443, "http": 80}[parts.scheme]
        return cls(host, f"{parts.scheme}://{host}" + ("" if usual else f":{parts.port}"))


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A new passkey, as its authenticator told it."""

    credential_id: str
    public_key: str
    counter: int
    synced: bool
    transports: list[str]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What an authenticator proved: `verified`, that its owner was checked (PIN, finger), not only there."""

    counter: int
    verified: bool


def creation_options(site: Site, user: User, challenge: str, have: Iterable[str]) -> dict[str, Any]:
    """What `navigator.credentials.create` is asked. `have` are the credential ids that the user has already."""
    from webauthn import generate_registration_options, options_to_json
    from webauthn.helpers import structs

    options = generate_registration_options(
        rp_id=site.id,
        rp_name="Dais",
        user_id=user.id.encode(),
        user_name=f"{user.organization}.{user.name}",
        user_display_name=user.full_name or user.name,
        challenge=_bytes(challenge),
        exclude_credentials=[structs.PublicKeyCredentialDescriptor(id=_bytes(one)) for one in have],
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.PREFERRED,
        ),
    )
    found: dict[str, Any] = json.loads(options_to_json(options))
    return found


def request_options(site: Site, challenge: str, *, verification: str, have: Iterable[str] = ()) -> dict[str, Any]:
    """What `navigator.credentials.get` is asked: any passkey of the site, or one of those that the user has."""
    from webauthn import generate_authentication_options, options_to_json
    from webauthn.helpers import structs

    options = generate_authentication_options(
        rp_id=site.id,
        challenge=_bytes(challenge),
        allow_credentials=[structs.PublicKeyCredentialDescriptor(id=_bytes(one)) for one in have],
        user_verification=structs.UserVerificationRequirement(verification),
    )
    found: dict[str, Any] = json.loads(options_to_json(options))
    return found


def check_creation(site: Site, challenge: str, answer: dict[str, Any]) -> Made:
    """The passkey that was made. Raises Invalid `bad-passkey`."""
    from webauthn import verify_registration_response
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        made = verify_registration_response(
            credential=answer, expected_challenge=_bytes(challenge), expected_rp_id=site.id, expected_origin=site.origin
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        raise Invalid(f"this passkey cannot be taken: {str(error)[:200]}", code="bad-passkey") from error
    response = answer.get("response")
    told = response.get("transports") if isinstance(response, dict) else None
    transports = [one for one in told if isinstance(one, str)][:10] if isinstance(told, list) else []
    if len(made.credential_id) > 1023:
        raise Invalid("this passkey's id is longer than such ids may be", code="bad-passkey")
    return Made(
        credential_id=_text(made.credential_id),
        public_key=_text(made.credential_public_key),
        counter=made.sign_count,
        synced=made.credential_backed_up,
        transports=transports,
    )


def check_assertion(site: Site, challenge: str, answer: dict[str, Any], public_key: str) -> Shown:
    """What an answer proves of the passkey with this key. Raises Unauthenticated `bad-passkey`.

    The counter is told and not judged: that is the caller's, who knows the one before.
    """
    from webauthn import verify_authentication_response
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        found = verify_authentication_response(
            credential=answer,
            expected_challenge=_bytes(challenge),
            expected_rp_id=site.id,
            expected_origin=site.origin,
            credential_public_key=_bytes(public_key),
            credential_current_sign_count=0,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        raise not_believed() from error
    return Shown(counter=found.new_sign_count, verified=found.user_verified)


def credential_id_of(answer: dict[str, Any]) -> str:
    """Which passkey an answer says to be of."""
    found = answer.get("id")
    return found if isinstance(found, str) else ""


def owner_of(answer: dict[str, Any]) -> str | None:
    """The user whom the authenticator keeps the passkey for, where it tells."""
    response = answer.get("response")
    handle = response.get("userHandle") if isinstance(response, dict) else None
    if not isinstance(handle, str) or not handle:
        return None
    try:
        return _bytes(handle).decode()
    except ValueError:
        return ""


def not_believed() -> Unauthenticated:
    """The answer proves nothing; it is the same whatever was wrong with it."""
    return Unauthenticated(
        "this passkey is not known here, or did not prove itself; try again, or sign in another way", code="bad-passkey"
    )


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
