"""What carries out the effects of flows: one transport that blocks, one on asyncio, both over httpx2."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from dais import __version__
from dais.sdk.errors import DaisError, Invalid, Unreachable
from dais.sdk.flow import (
    Effect,
    Emit,
    Flow,
    Items,
    Open,
    Pause,
    Read,
    Request,
    Response,
    Send,
    Shut,
    Stream,
    Together,
    Work,
)
from dais.sdk.target import ANSWER_TIMEOUT, CONNECT_TIMEOUT, Pair, Target, is_loopback

R = TypeVar("R")
T = TypeVar("T")

SILENCE_TIMEOUT = 45.0
"""Seconds without a byte after which an open stream counts as broken; the server sends a comment every 15."""

_not_sent = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


@dataclass
class _Opened:
    """A streamed answer; `pieces` is its iterator, `close` ends it."""

    status: int
    headers: dict[str, str]
    pieces: Any
    close: Callable[[], Any]


class BlockingTransport:
    """Runs flows in the calling thread; may be used by several threads."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._http = httpx2.Client(**_options(target))

    def close(self) -> None:
        self._http.close()

    def run(self, flow: Flow[R], stop: threading.Event | None = None) -> R:
        """Drive a flow to its end and return its result; what it opened is closed."""
        with ExitStack() as opened:
            value: Any = None
            error: BaseException | None = None
            while True:
                try:
                    effect = flow.throw(error) if error is not None else flow.send(value)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                value, error = None, None
                try:
                    if stop is not None and stop.is_set():
                        raise _Stopped
                    value = self._perform(effect, opened)
                except BaseException as failure:
                    error = failure

    def iterate(self, flow: Items[T]) -> Iterator[T]:
        """Drive a flow and yield what it emits."""
        with ExitStack() as opened:
            value: Any = None
            error: BaseException | None = None
            while True:
                try:
                    effect = flow.throw(error) if error is not None else flow.send(value)
                except StopIteration:
                    return
                value, error = None, None
                if isinstance(effect, Emit):
                    yield effect.item
                    continue
                try:
                    value = self._perform(effect, opened)
                except BaseException as failure:
                    error = failure

    def _perform(self, effect: Effect, opened: ExitStack) -> Any:
        if isinstance(effect, Send):
            return self._send(effect.request)
        if isinstance(effect, Open):
            stream = self._open(effect.request)
            opened.callback(stream.close)
            return stream
        if isinstance(effect, Read):
            return self._read(effect.stream)
        if isinstance(effect, Shut):
            return _opened(effect.stream).close()
        if isinstance(effect, Pause):
            return time.sleep(effect.seconds)
        if isinstance(effect, Work):
            return effect.function()
        if isinstance(effect, Together):
            return self._together(effect)
        raise TypeError(f"{effect!r} belongs into a listing")

    def _send(self, request: Request) -> Response:
        try:
            answer = self._http.request(**_arguments(request))
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise unreachable(self.target.url, error) from error
        return Response(answer.status_code, _headers(answer), answer.content)

    def _open(self, request: Request) -> _Opened:
        arguments = _arguments(request, SILENCE_TIMEOUT)
        try:
            answer = self._http.send(self._http.build_request(**arguments), stream=True)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise unreachable(self.target.url, error) from error
        return _Opened(answer.status_code, _headers(answer), answer.iter_bytes(), answer.close)

    def _read(self, stream: Stream) -> bytes:
        try:
            return next(_opened(stream).pieces, b"")
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise unreachable(self.target.url, error) from error

    def _together(self, effect: Together) -> list[Any]:
        from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

        stop = threading.Event()
        with ThreadPoolExecutor(max_workers=max(1, effect.at_once), thread_name_prefix="dais") as pool:
            futures = [pool.submit(self.run, flow, stop) for flow in effect.flows]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [future.result() for future in futures]


class AsyncTransport:
    """Runs flows on the running event loop; use it on one loop."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._http = httpx2.AsyncClient(**_options(target))

    async def close(self) -> None:
        await self._http.aclose()

    async def run(self, flow: Flow[R]) -> R:
        """Drive a flow to its end and return its result; what it opened is closed."""
        async with AsyncExitStack() as opened:
            value: Any = None
            error: BaseException | None = None
            while True:
                try:
                    effect = flow.throw(error) if error is not None else flow.send(value)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                value, error = None, None
                try:
                    value = await self._perform(effect, opened)
                except BaseException as failure:
                    error = failure

    async def iterate(self, flow: Items[T]) -> AsyncIterator[T]:
        """Drive a flow and yield what it emits."""
        async with AsyncExitStack() as opened:
            value: Any = None
            error: BaseException | None = None
            while True:
                try:
                    effect = flow.throw(error) if error is not None else flow.send(value)
                except StopIteration:
                    return
                value, error = None, None
                if isinstance(effect, Emit):
                    yield effect.item
                    continue
                try:
                    value = await self._perform(effect, opened)
                except BaseException as failure:
                    error = failure

    async def _perform(self, effect: Effect, opened: AsyncExitStack) -> Any:
        import asyncio  # who comes here has it; commands, which block, would wait for it

        if isinstance(effect, Send):
            return await self._send(effect.request)
        if isinstance(effect, Open):
            stream = await self._open(effect.request)
            opened.push_async_callback(stream.close)
            return stream
        if isinstance(effect, Read):
            return await self._read(effect.stream)
        if isinstance(effect, Shut):
            return await _opened(effect.stream).close()
        if isinstance(effect, Pause):
            return await asyncio.sleep(effect.seconds)
        if isinstance(effect, Work):
            return await asyncio.to_thread(effect.function)
        if isinstance(effect, Together):
            return await self._together(effect)
        raise TypeError(f"{effect!r} belongs into a listing")

    async def _send(self, request: Request) -> Response:
        try:
            answer = await self._http.request(**_arguments(request))
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise unreachable(self.target.url, error) from error
        return Response(answer.status_code, _headers(answer), answer.content)

    async def _open(self, request: Request) -> _Opened:
        arguments = _arguments(request, SILENCE_TIMEOUT)
        try:
            answer = await self._http.send(self._http.build_request(**arguments), stream=True)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise unreachable(self.target.url, error) from error
        return _Opened(answer.status_code, _headers(answer), answer.aiter_bytes(), answer.aclose)

    async def _read(self, stream: Stream) -> bytes:
        try:
            return await anext(_opened(stream).pieces, b"")
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise unreachable(self.target.url, error) from error

    async def _together(self, effect: Together) -> list[Any]:
        import asyncio

        slots = asyncio.Semaphore(max(1, effect.at_once))

        async def one(flow: Flow[Any]) -> Any:
            async with slots:
                return await self.run(flow)

        tasks = [asyncio.ensure_future(one(flow)) for flow in effect.flows]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class PairAuth(httpx2.Auth):
    """Signs each request with a pair. A body that is streamed is not covered."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Add the three headers, and send."""
        body = request.content if isinstance(request.stream, httpx2.ByteStream) else None
        request.headers.update(self._pair.headers(request.method, request.url.raw_path.decode("ascii"), body))
        yield request


def _options(target: Target) -> dict[str, Any]:
    """What both httpx2 clients are made with. A machine's own address is never asked for through a proxy."""
    headers = {"user-agent": f"dais/{__version__}", "accept": "application/json, */*;q=0.5"}
    pair = target.pair
    if target.token and pair is None:
        headers["authorization"] = f"Bearer {target.token}"
    url = urlsplit(target.url)
    near = is_loopback(url.hostname or "")
    # Reading the authorities takes as long as a command otherwise does; without TLS nobody is trusted.
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if near and url.scheme == "http" else True
    return {
        "auth": PairAuth(pair) if pair is not None else None,
        "base_url": target.url,
        "headers": headers,
        "timeout": httpx2.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT),
        "trust_env": not near,
        "verify": trusted,
        "follow_redirects": False,
    }


class _Stopped(Exception):
    """Another flow beside this one has failed."""


def unreachable(url: str, error: Exception) -> DaisError:
    """The typed error for a failure of httpx2."""
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return Invalid(
            f"{url!r} is no address of a server ({error})",
            code="bad-url",
            hint="write it as http://HOST:PORT, in DAIS_URL or in the profile",
        )
    sent = not isinstance(error, _not_sent)
    if isinstance(error, httpx2.TimeoutException):
        what = "kept silent for too long" if sent else "did not take the connection in time"
    elif isinstance(error, httpx2.RemoteProtocolError):
        what = "closed the connection in the middle of an answer"
    else:
        what = f"broke off the connection ({root_words(error)})" if sent else f"is not reachable ({root_words(error)})"
    return Unreachable(f"{url} {what}", sent=sent, hint="is it up? start it with `dais up`, or check DAIS_URL")


def root_words(error: BaseException) -> str:
    """The innermost words of a chain of exceptions: "Connection refused" rather than "All attempts failed"."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.lower() if text else type(error).__name__


def _opened(stream: Stream) -> _Opened:
    assert isinstance(stream, _Opened)
    return stream


def _headers(answer: httpx2.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def _arguments(request: Request, silence: float | None = None) -> dict[str, Any]:
    headers = dict(request.headers)
    if request.body is not None and not any(name.lower() == "content-type" for name in headers):
        headers["content-type"] = "application/json"
    timeout = request.timeout or silence
    arguments: dict[str, Any] = {
        "method": request.method,
        "url": request.path,
        "params": {name: _text(value) for name, value in request.query.items() if value is not None},
        "content": request.body,
        "headers": headers,
    }
    if timeout is not None:
        arguments["timeout"] = httpx2.Timeout(timeout, connect=CONNECT_TIMEOUT)
    return arguments


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value
