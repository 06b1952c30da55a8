"""The text of bearer tokens: `dais_<kind>_<43 base-62 digits>`, 256 random bits."""

from __future__ import annotations

import hashlib
import re
import secrets
import string

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
DIGITS = 43
_KEY_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

_shape = re.compile(r"dais_[a-z]+_[0-9A-Za-z]{43}")


def new_secret(kind: str) -> str:
    """A new token's text."""
    return f"dais_{kind}_{random_digits()}"


def random_digits() -> str:
    """256 random bits as base-62 digits: what is no token, but as hard to guess."""
    value = secrets.randbits(256)
    digits = []
    for _ in range(DIGITS):
        value, digit = divmod(value, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def new_access_key() -> str:
    """The name of a pair: 20 characters, of which 80 bits are random."""
    return "DAIS" + "".join(secrets.choice(_KEY_DIGITS) for _ in range(16))


def has_shape(secret: str) -> bool:
    """Whether this can be a token at all."""
    return _shape.fullmatch(secret) is not None


def hash_of(secret: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
