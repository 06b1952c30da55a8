"""An authenticator in software: it makes and shows passkeys as browsers do, or as attackers would."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, NEW = 0x01, 0x04, 0x40


class Authenticator:
    """Holds one passkey. What it says can be changed for one answer by keywords."""

    def __init__(self, origin: str, rp_id: str) -> None:
        self.origin, self.rp_id = origin, rp_id
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = os.urandom(32)
        self.user = ""
        self.counter = 0

    def create(self, options: dict[str, Any], *, origin: str | None = None, kind: str = "create") -> dict[str, Any]:
        """Make the passkey, as `navigator.credentials.create` would."""
        self.user = options["user"]["id"]
        numbers = self.key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        public = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        credential = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + public
        data = self._data(PRESENT | VERIFIED | NEW, self.counter, self.rp_id) + credential
        client = self._client(f"webauthn.{kind}", options["challenge"], origin)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer({"clientDataJSON": text(client), "attestationObject": text(attestation), "transports": []})

    def get(
        self,
        options: dict[str, Any],
        *,
        origin: str | None = None,
        challenge: str | None = None,
        rp_id: str | None = None,
        flags: int = PRESENT | VERIFIED,
        counter: int | None = None,
        user: str | None = None,
        kind: str = "get",
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> dict[str, Any]:
        """Show the passkey, as `navigator.credentials.get` would."""
        if counter is None:
            self.counter += 1
        data = self._data(flags, self.counter if counter is None else counter, rp_id or self.rp_id)
        client = self._client(f"webauthn.{kind}", challenge or options["challenge"], origin)
        signature = (key or self.key).sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": text(client),
            "authenticatorData": text(data),
            "signature": text(signature),
            "userHandle": self.user if user is None else user,
        }
        return self._answer(response)

    def _answer(self, response: dict[str, Any]) -> dict[str, Any]:
        name = text(self.credential_id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}

    def _client(self, kind: str, challenge: str, origin: str | None) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": origin or self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    @staticmethod
    def _data(flags: int, counter: int, rp_id: str) -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + counter.to_bytes(4, "big")


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
