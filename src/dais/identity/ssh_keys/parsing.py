"""Reading a public key as OpenSSH writes it (RFC 4253, section 6.6), and refusing what is too weak."""

from __future__ import annotations

import base64
import binascii
import hashlib

import msgspec

from dais.kit.errors import Invalid

LONGEST = 16 << 10
"""Bytes of a line; an RSA key of 16,384 bits takes 3 KiB."""
RSA_BITS = (2048, 16_384)

_curves = {"ecdsa-sha2-nistp256": 65, "ecdsa-sha2-nistp384": 97, "ecdsa-sha2-nistp521": 133}
_ED25519 = "ssh-ed25519"
_sk_ed25519, _sk_ecdsa = "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"
KINDS = (_ED25519, *_curves, "ssh-rsa", _sk_ed25519, _sk_ecdsa)


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that may let somebody in. `line` has no comment; `fingerprint` is as `ssh-keygen -l` prints it."""

    kind: str
    line: str
    comment: str
    fingerprint: str


def parse_public_key(text: str) -> PublicKey:
    """The key in a line such as `ssh-ed25519 AAAA… name@host`. Raises Invalid `bad-ssh-key`, `weak-ssh-key`."""
    text = text.strip()
    if "PRIVATE KEY" in text:
        raise _bad("that is a private key, which nobody but you should have; give the file that ends with .pub")
    if len(text) > LONGEST:
        raise _bad(f"a public key has at most {LONGEST:,} bytes")
    if "BEGIN SSH2 PUBLIC KEY" in text:
        raise _bad("that is a key in SSH2's format; `ssh-keygen -i -f FILE` prints it as OpenSSH writes it")
    if "\n" in text or "\r" in text:
        raise _bad("give one key, which is one line")
    kind, _, rest = text.partition(" ")
    encoded, _, comment = rest.strip().partition(" ")
    if kind == "ssh-dss":
        raise _weak("DSA keys are broken")
    if "-cert-v" in kind:
        raise _bad("that is a certificate; give the public key that it was made for")
    if kind not in KINDS:
        raise _bad(f"{kind[:40]!r} is no kind of key that is taken; `ssh-keygen -t ed25519` makes one")
    try:
        blob = base64.b64decode(encoded, validate=True)
        _check(kind, blob)
    except (binascii.Error, IndexError, UnicodeError) as error:
        raise _bad("it is damaged, or not complete; copy the whole line of the file that ends with .pub") from error
    return PublicKey(
        kind=kind,
        line=f"{kind} {base64.b64encode(blob).decode()}",
        comment=comment.strip()[:128],
        fingerprint=fingerprint_of(blob),
    )


def fingerprint_of(blob: bytes) -> str:
    """`SHA256:…` of a key as it goes over the wire."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _check(kind: str, blob: bytes) -> None:
    fields = _fields(blob)
    if fields[0].decode("ascii") != kind:
        raise IndexError("it says to be of another kind")
    if kind == "ssh-rsa":
        exponent, modulus = (int.from_bytes(field, "big") for field in _exactly(fields, 3)[1:])
        bits = modulus.bit_length()
        if bits < RSA_BITS[0]:
            raise _weak(f"an RSA key needs at least {RSA_BITS[0]:,} bits, and this one has {bits:,}")
        if bits > RSA_BITS[1] or exponent < 3 or exponent % 2 == 0 or modulus % 2 == 0:
            raise IndexError("no sane RSA key")
        return
    key = _exactly(fields, {_ED25519: 2, _sk_ed25519: 3, _sk_ecdsa: 4}.get(kind, 3))
    if kind in (_ED25519, _sk_ed25519):
        whole = len(key[1]) == 32
    else:
        whole = key[2][:1] == b"\x04" and len(key[2]) == _curves.get(kind, 65)
    if not whole:
        raise IndexError("a point of another length")


def _exactly(fields: list[bytes], count: int) -> list[bytes]:
    if len(fields) != count:
        raise IndexError("another number of fields")
    return fields


def _fields(blob: bytes) -> list[bytes]:
    """The strings of a blob, each behind its length. Raises IndexError."""
    fields = []
    while blob:
        length = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + length:
            raise IndexError("it ends too early")
        fields.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return fields or [b""]


def _bad(why: str) -> Invalid:
    return Invalid(f"this is no public key for SSH: {why}", code="bad-ssh-key")


def _weak(why: str) -> Invalid:
    return Invalid(f"this key is too weak: {why}; `ssh-keygen -t ed25519` makes a good one", code="weak-ssh-key")
