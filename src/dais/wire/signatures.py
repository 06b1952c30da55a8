"""Signed requests: HTTP Message Signatures (RFC 9421) by HMAC-SHA256, with the digest of the body (RFC 9530).

A request carries two or three headers:

    Content-Digest: sha-256=:<base64>:
    Signature-Input: dais=("@method" "@path" "@query" "content-digest");created=1764180000;keyid="DAIS…";nonce="…"
    Signature: dais=:<base64>:

The secret of the pair is never sent. What is signed cannot be changed on the way, nor used again later or elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping

import msgspec

COVERED = ("@method", "@path", "@query")
"""What every signature covers; with a body, its digest, too."""
DIGEST = "content-digest"
SKEW = 300
"""Seconds that the clocks of both sides may differ, and for which a signature is good."""
MOST = 2048
"""Characters of the header that says what is signed."""

_input = re.compile(
    r'([a-z][a-z0-9_-]{0,31})=(\(((?:"[a-z0-9@-]+"(?: |(?=\))))*)\)((?:;[a-z]+=(?:\d{1,15}|"[!#-\[\]-~]*"))*))'
)
_parameter = re.compile(r';([a-z]+)=(?:(\d+)|"([^"]*)")')
_signature = re.compile(r"([a-z][a-z0-9_-]{0,31})=:([A-Za-z0-9+/=]{1,128}):")
_digest = re.compile(r"sha-256=:([A-Za-z0-9+/=]{44}):")


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says of its signature. `parameters` is the text that is signed with the components."""

    components: tuple[str, ...]
    parameters: str
    key: str
    created: int
    nonce: str
    signature: bytes


def signature_base(components: Iterable[str], values: Mapping[str, str], parameters: str) -> bytes:
    """The text that is signed (RFC 9421, 2.5)."""
    lines = [f'"{name}": {values[name]}' for name in components]
    return "\n".join([*lines, f'"@signature-params": {parameters}']).encode()


def sign(
    key: str, secret: str, method: str, path: str, query: str, body: bytes | None, created: int, nonce: str
) -> dict[str, str]:
    """The headers that sign a request. `path` and `query` as they are sent, percent-encoded and without the `?`.

    `body` None: it is not known yet and is not covered, which only transfers accept.
    """
    headers = {}
    values = {"@method": method, "@path": path or "/", "@query": f"?{query}"}
    components: tuple[str, ...] = COVERED
    if body is not None:
        headers["content-digest"] = values[DIGEST] = f"sha-256=:{_text(hashlib.sha256(body).digest())}:"
        components = (*COVERED, DIGEST)
    quoted = " ".join(f'"{name}"' for name in components)
    parameters = f'({quoted});created={created};keyid="{key}";nonce="{nonce}"'
    headers["signature-input"] = f"dais={parameters}"
    headers["signature"] = f"dais=:{_text(mac(secret, signature_base(components, values, parameters)))}:"
    return headers


def read(signature_input: str, signature: str) -> Signed:
    """What the two headers say. Raises ValueError, with the reason."""
    found = _input.fullmatch(signature_input) if len(signature_input) <= MOST else None
    given = _signature.fullmatch(signature)
    if found is None or given is None or found[1] != given[1]:
        raise ValueError("Signature-Input and Signature must hold one signature each, of one name (RFC 9421)")
    parameters = {name: number or text for name, number, text in _parameter.findall(found[4])}
    components = tuple(name.strip('"') for name in found[3].split())
    missing = [name for name in COVERED if name not in components]
    if missing or len(set(components)) != len(components) or set(components) - {*COVERED, DIGEST}:
        raise ValueError(f"the signature must cover {', '.join((*COVERED, DIGEST))}, and nothing else")
    if parameters.get("alg", "hmac-sha256") != "hmac-sha256":
        raise ValueError("the signature's algorithm must be hmac-sha256")
    made, nonce = parameters.get("created", ""), parameters.get("nonce", "")
    if not parameters.get("keyid") or not made.isdigit() or len(nonce) < 16:
        raise ValueError("the signature needs created, keyid and a nonce of at least 16 characters")
    try:
        value = base64.b64decode(given[2], validate=True)
    except binascii.Error as error:
        raise ValueError("the signature is not base64") from error
    return Signed(
        components=components,
        parameters=found[2],
        key=parameters["keyid"],
        created=int(made),
        nonce=nonce,
        signature=value,
    )


def matches(signed: Signed, secret: str, values: Mapping[str, str]) -> bool:
    """Whether the secret made the signature over these values of the components; compared in constant time."""
    return hmac.compare_digest(
        signed.signature, mac(secret, signature_base(signed.components, values, signed.parameters))
    )


def mac(secret: str, base: bytes) -> bytes:
    """HMAC-SHA256 of the text that is signed."""
    return hmac.digest(secret.encode(), base, "sha256")


def read_digest(header: str) -> bytes:
    """The SHA-256 that a Content-Digest header gives. Raises ValueError."""
    found = _digest.fullmatch(header.strip())
    if found is None:
        raise ValueError("Content-Digest must be sha-256=:BASE64: (RFC 9530)")
    try:
        return base64.b64decode(found[1], validate=True)
    except binascii.Error as error:
        raise ValueError("Content-Digest is not base64") from error


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
