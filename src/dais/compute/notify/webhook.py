"""Sending one webhook: a signed POST to an address that was checked, whose answer's status is all that is read.

Signed as the Standard Webhooks specification says: HMAC-SHA256 over `id.timestamp.body`, in `webhook-signature`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import ssl
from urllib.parse import SplitResult, urlsplit

import dais
from dais.kit.addresses import Allowed, Internal, resolve

PREFIX = "whsec_"
KEY_BYTES = 32
MAX_HEAD = 16 << 10
"""Bytes of an answer's head that are read; its body is not."""


REMEDY = (
    "which webhooks never reach; use a public one, or ask the administrator to name the host in "
    "DAIS_NOTIFY_INTERNAL_HOSTS"
)


class Failed(Exception):
    """It did not arrive. `final`: trying again is of no use."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


def new_signing_key() -> str:
    """A key as receivers are given it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def signature(key: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    raw = base64.b64decode(key.removeprefix(PREFIX))
    digest = hmac.new(raw, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


async def post(target: str, message_id: str, timestamp: int, body: bytes, *, key: str | None, allowed: Allowed) -> None:
    """Deliver once; the caller bounds the time. `timestamp` is in seconds. Raises Failed."""
    url = urlsplit(target)
    headers = {
        "Host": url.netloc,
        "User-Agent": f"Dais/{dais.__version__}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
    }
    if key is not None:
        headers["webhook-signature"] = signature(key, message_id, timestamp, body)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    try:
        status = await _exchange(url, head.encode("ascii") + body, allowed)
    except Internal as error:
        raise Failed(f"{error}, {REMEDY}", final=True) from error
    except ssl.SSLCertVerificationError as error:
        raise Failed(f"the certificate of {url.hostname} is not good: {error.verify_message}") from error
    except (OSError, UnicodeError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise Failed(f"{url.hostname} cannot be reached: {error}") from error
    if not 200 <= status < 300:
        redirect = "; redirects are not followed" if 300 <= status < 400 else ""
        raise Failed(f"{url.hostname} answered {status}{redirect}", final=status == 410)


async def _exchange(url: SplitResult, request: bytes, allowed: Allowed) -> int:
    """Send, and read the status."""
    assert url.hostname is not None
    port = url.port or (443 if url.scheme == "https" else 80)
    addresses = await resolve(url.hostname, port, allowed)
    secure = url.scheme == "https"
    if not secure and not all(inside for _, inside in addresses):
        raise Failed(f"{url.hostname} is public: use https, so that nobody on the way reads or changes it", final=True)
    context = await asyncio.to_thread(ssl.create_default_context) if secure else None
    problem: OSError | None = None
    for address, _ in addresses:
        try:
            reader, writer = await asyncio.open_connection(
                address, port, ssl=context, server_hostname=url.hostname if secure else None, limit=MAX_HEAD
            )
        except ssl.SSLError:
            raise
        except OSError as error:
            problem = error
            continue
        try:
            writer.write(request)
            await writer.drain()
            return await _status(reader)
        finally:
            writer.close()
    raise problem or OSError("it has no address")


async def _status(reader: asyncio.StreamReader) -> int:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        version, _, rest = head.partition(b" ")
        code = rest[:3]
        if not version.startswith(b"HTTP/1.") or not code.isdigit():
            raise OSError("what answers does not speak HTTP")
        if not code.startswith(b"1"):
            return int(code)
