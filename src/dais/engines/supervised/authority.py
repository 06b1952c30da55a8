"""Who says which remote supervisor is which. Whoever makes this object keeps its key: engines have no secrets."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate and its key, in PEM. Secret: in no log, row or command line."""

    certificate: str
    key: str

    def __repr__(self) -> str:
        return "Proof(…)"


class Authority(Protocol):
    """The installation's certificate authority."""

    @property
    def certificate(self) -> str:
        """Its own certificate, in PEM."""
        ...

    def issue(self, name: str, seconds: float) -> Proof:
        """A certificate with this one name, good for so many seconds. Raises ValueError for what cannot be a name."""
        ...
