"""Asking servers that others named, over httpx2: only addresses that were checked, short answers, no redirects."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from dais.kit.addresses import Allowed, resolve

MOST_BYTES = 512 << 10
"""Bytes of an answer."""
SECONDS = 10.0
"""For each of connecting, sending and waiting for an answer."""


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Connects to addresses that were checked, by https unless they are internal and allowed.

    A connection is used once: kept ones are found by address alone, and another name may not have the same certificate.
    Raises `addresses.Internal`, OSError and httpx2's errors.
    """

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._inner = httpx2.AsyncHTTPTransport(
            trust_env=False, limits=httpx2.Limits(max_connections=20, max_keepalive_connections=0)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await resolve(url.host, port, self._allowed)
        if url.scheme != "https" and not all(inside for _, inside in addresses):
            raise httpx2.UnsupportedProtocol(f"{url.host} is public: only https is used with it")
        request.headers["accept-encoding"] = "identity"
        failure: httpx2.ConnectError = httpx2.ConnectError("it has no address")
        for address, _ in addresses:
            sent = httpx2.Request(
                request.method,
                url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": url.host},
            )
            try:
                answer = await self._inner.handle_async_request(sent)
            except httpx2.ConnectError as error:
                failure = error
                continue
            return _bounded(answer)
        raise failure

    async def aclose(self) -> None:
        await self._inner.aclose()


def guarded(allowed: Allowed) -> dict[str, object]:
    """The arguments for an httpx2.AsyncClient that asks through the guard."""
    return {
        "transport": GuardedTransport(allowed),
        "timeout": SECONDS,
        "follow_redirects": False,
        "trust_env": False,
    }


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        async for piece in self._inner:
            total += len(piece)
            if total > MOST_BYTES:
                raise httpx2.ReadError(f"the answer has more than {MOST_BYTES:,} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


def _bounded(answer: httpx2.Response) -> httpx2.Response:
    if answer.headers.get("content-encoding", "identity") != "identity":  # unpacked it might have any size
        raise httpx2.DecodingError("the answer is compressed, though that was not asked for")
    assert isinstance(answer.stream, httpx2.AsyncByteStream)
    return httpx2.Response(
        answer.status_code, headers=answer.headers, stream=_Bounded(answer.stream), extensions=answer.extensions
    )
