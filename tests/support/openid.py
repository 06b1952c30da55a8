"""OpenID providers: a real one in a process of its own, and one that says whatever a test wants, also forged things."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "dais-test"
CODE = "a-code"

Make = Callable[["Provider", dict[str, Any]], str]
"""What makes an ID token of claims."""


def signed(provider: Provider, claims: dict[str, Any]) -> str:
    """As a provider should."""
    return jwt.encode({"alg": "RS256", "kid": provider.kid}, claims, provider.key)


@dataclass
class Provider:
    """What it says is changed by assigning. `asked` are the paths that were asked for, in their order."""

    issuer: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048))
    kid: str = "first"
    claims: dict[str, Any] = field(default_factory=dict)
    make: Make = signed
    challenge: str = ""
    """The PKCE challenge that the code was given for."""
    documents: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    """Answers instead of the usual ones, by path."""
    asked: list[str] = field(default_factory=list)

    def rotate(self, kid: str) -> None:
        """Sign with a new key, and tell of it alone."""
        self.key, self.kid = RSAKey.generate_key(2048), kid

    def answer(self, path: str, body: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(path)
        if path in self.documents:
            return self.documents[path]
        if path == "/.well-known/openid-configuration":
            return _json(
                {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.issuer}/authorize",
                    "token_endpoint": f"{self.issuer}/token",
                    "jwks_uri": f"{self.issuer}/jwks",
                    "end_session_endpoint": f"{self.issuer}/end",
                }
            )
        if path == "/jwks":
            return _json({"keys": [{**self.key.as_dict(private=False), "kid": self.kid, "use": "sig"}]})
        if path == "/token":
            verifier = body.get("code_verifier", [""])[0]
            digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
            if body.get("code") != [CODE] or digest != self.challenge:
                return _json({"error": "invalid_grant"}, 400)
            return _json(
                {"access_token": "an-access-token", "token_type": "Bearer", "id_token": self.make(self, self.claims)}
            )
        return _json({}, 404)


@contextmanager
def openid_provider() -> Iterator[Provider]:
    """One that listens on loopback until the block ends."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", "0")))
            self._answer(parse_qs(raw.decode()))

        def _answer(self, body: dict[str, list[str]]) -> None:
            status, headers, content = provider.answer(self.path, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: Any = "-", size: Any = "-") -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.issuer = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def real_provider(users: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The issuer of a provider of somebody else's making, with users by their subjects and their claims."""
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", "0", "--require-nonce", "true"]
    for subject, claims in users.items():
        command += ["--user-claims", json.dumps({"sub": subject, **claims})]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        said = ""
        while not (found := re.search(r"running on (http://127\.0\.0\.1:\d+)", said)):
            line = process.stdout.readline()
            assert line, f"it has ended: {said}"
            said += line
        yield found[1]
    finally:
        process.kill()
        process.communicate()


def _json(value: Any, status: int = 200) -> tuple[int, dict[str, str], bytes]:
    return status, {"content-type": "application/json"}, json.dumps(value).encode()
