"""A launch on a shared disk, closed with a key that lies elsewhere and closes nothing else.

The supervisor has the standard library alone, which has no authenticated cipher. With a key that is used once, the
output of SHAKE-256 is a one-time pad; and SHAKE-256 of a key and what it covers tells whether somebody changed it:
a sponge cannot be extended by whoever does not know what went in.
"""

from __future__ import annotations

from _operator import _compare_digest as compare_digest

try:
    from _sha3 import shake_256  # type: ignore[import-not-found,unused-ignore]
except ImportError:  # hashlib has the same, and loads OpenSSL first, which takes longer than all else that is done here
    from hashlib import shake_256

KEY_BYTES = 32
_TAG_BYTES = 32
_HEAD = b"dais-sealed-2\n"


class Unsealable(Exception):
    """It was closed with another key, or has been changed."""


def seal(key: bytes, name: str, plain: bytes) -> bytes:
    """Close `plain`, which is what `name` says. The key must be random and must not be used again."""
    body = _mask(key, plain)
    return _HEAD + _tag(key, name, body) + body


def unseal(key: bytes, name: str, sealed: bytes) -> bytes:
    """What was closed with this key under this name. Raises Unsealable."""
    begin = len(_HEAD) + _TAG_BYTES
    tag, body = sealed[len(_HEAD) : begin], sealed[begin:]
    if not sealed.startswith(_HEAD) or not compare_digest(tag, _tag(key, name, body)):
        raise Unsealable
    return _mask(key, body)


def _mask(key: bytes, data: bytes) -> bytes:
    pad = shake_256(_derived(key, b"pad")).digest(len(data))
    return (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(data), "big")


def _tag(key: bytes, name: str, body: bytes) -> bytes:
    said = name.encode()
    digest: bytes = shake_256(_derived(key, b"tag") + len(said).to_bytes(8, "big") + said + body).digest(_TAG_BYTES)
    return digest


def _derived(key: bytes, purpose: bytes) -> bytes:
    derived: bytes = shake_256(key + b"dais " + purpose).digest(KEY_BYTES)
    return derived
