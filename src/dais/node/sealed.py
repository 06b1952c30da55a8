"""A launch on a shared disk, closed with a key that lies elsewhere and closes nothing else.

The supervisor has the standard library alone, which has no authenticated cipher. With a key that is used once, the
output of SHAKE-256 is a one-time pad, and HMAC over what it covers tells whether somebody changed it.
"""

from __future__ import annotations

import hashlib
import hmac

KEY_BYTES = 32
_TAG_BYTES = 32
_HEAD = b"dais-sealed-1\n"


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
    if not sealed.startswith(_HEAD) or not hmac.compare_digest(tag, _tag(key, name, body)):
        raise Unsealable
    return _mask(key, body)


def _mask(key: bytes, data: bytes) -> bytes:
    pad = hashlib.shake_256(_derived(key, b"pad")).digest(len(data))
    return (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(data), "big")


def _tag(key: bytes, name: str, body: bytes) -> bytes:
    return hmac.digest(_derived(key, b"tag"), name.encode() + b"\0" + body, "sha256")


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, b"dais " + purpose, "sha256")
