"""Operations written once and run by both clients.

An operation is a generator (a *flow*) that yields what it wants done (send a request, wait, read from a stream, run
file work) and is given the outcome. `transport` does these things, blocking or on asyncio. A class of operations
becomes a blocking or an asynchronous resource by the mixin beside it:

    class JobsApi(Resource):
        @operation
        def get(self, ref: str) -> Flow[JobDetail]:
            return (yield from self.call(Request("GET", f"/v1/jobs/{quoted(ref)}"), JobDetail))

    class Jobs(JobsApi, Blocking): ...           # jobs.get("x") -> JobDetail
    class AsyncJobs(JobsApi, Asynchronous): ...  # await jobs.get("x") -> JobDetail
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload
from urllib.parse import quote

import msgspec

from dais.sdk.errors import BadAnswer, DaisError, TooMany, Unavailable, Unreachable, from_response

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.sdk.target import Target
    from dais.sdk.transport import AsyncTransport, BlockingTransport

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")

Query = Mapping[str, str | int | float | bool | Sequence[str] | None]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `path` is quoted already (see `quoted`); query values that are None are left out.

    `repeatable` (by default: what is not POST or PATCH) says that sending it twice does no more than once, so that it
    may be tried again after a broken connection. `timeout` is how long the server may keep silent, in seconds.
    """

    method: str
    path: str
    query: Query = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool | None = None
    timeout: float | None = None

    @property
    def may_repeat(self) -> bool:
        return self.method not in ("POST", "PATCH") if self.repeatable is None else self.repeatable


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, read whole; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Stream(Protocol):
    """An answer that is read piece by piece; its head has arrived. Given by `Open`, used by `Read` and `Shut`."""

    status: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Send:
    """Send and read the whole answer, whatever its status -> Response. Raises Unreachable."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send and read the head of the answer -> Stream. Raises Unreachable. What is not shut is shut with the flow."""

    request: Request


@dataclass(frozen=True, slots=True)
class Read:
    """The next piece of a stream -> bytes, b"" at its end. Raises Unreachable when it broke off."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Shut:
    """Close a stream -> None."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds -> None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """Run a function that blocks (files, hashing) -> what it returns. Off the event loop, where there is one."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Together:
    """Run flows side by side, at most `at_once` -> list of their results in order. The first failure ends all."""

    flows: Sequence[Flow[Any]]
    at_once: int = 4


@dataclass(frozen=True, slots=True)
class Emit(Generic[T]):
    """Hand an item to whoever iterates over a listing -> None."""

    item: T


Effect = Send | Open | Read | Shut | Pause | Work | Together
Flow = Generator[Effect, Any, R]
Items = Generator[Effect | Emit[T], Any, None]
"""A flow that emits items of one type."""


def quoted(segment: str) -> str:
    """A path segment that a user gave: `a/b?c` cannot reach another route."""
    if segment in (".", ".."):
        raise DaisError(f"{segment!r} is not a name", code="bad-name")
    return quote(segment, safe="")


def send(request: Request) -> Flow[Response]:
    """One attempt, whatever the status."""
    return (yield Send(request))  # type: ignore[no-any-return]


def open_stream(request: Request) -> Flow[Stream]:
    """One attempt; raises the typed error of a status of 400 or above."""
    stream: Stream = yield Open(request)
    if stream.status < 400:
        return stream
    body = b""
    while len(body) < 65_536 and (piece := (yield Read(stream))):
        body += piece
    yield Shut(stream)
    raise from_response(stream.status, body, stream.headers)


def read(stream: Stream) -> Flow[bytes]:
    return (yield Read(stream))  # type: ignore[no-any-return]


def work(function: Callable[[], T]) -> Flow[T]:
    """Run blocking work; its result."""
    return (yield Work(function))  # type: ignore[no-any-return]


def together(flows: Sequence[Flow[T]], at_once: int = 4) -> Flow[list[T]]:
    """Run flows side by side; their results in order."""
    return (yield Together(flows, at_once))  # type: ignore[no-any-return]


class Backoff:
    """Growing pauses with jitter until `total` seconds have gone by since it was made or last `reset`."""

    def __init__(self, total: float, *, first: float = 0.1, longest: float = 2.0) -> None:
        self.total, self._first, self._longest = total, first, longest
        self.reset()

    def reset(self) -> None:
        """It went well: begin anew."""
        self._pause = self._first
        self._until = time.monotonic() + self.total

    def next(self, wanted: float | None = None) -> float | None:
        """Seconds to wait before the next attempt (at least `wanted`); None when the time is used up."""
        left = self._until - time.monotonic()
        pause = max(self._pause * random.uniform(0.75, 1.25), wanted or 0.0)
        self._pause = min(self._pause * 2, self._longest)
        return pause if pause <= left else None


class Core(Protocol):
    """What resources need of a client."""

    patience: float
    account: str | None
    on_wait: Callable[[str], None] | None


class BlockingCore(Core, Protocol):
    target: Target

    @property
    def transport(self) -> BlockingTransport: ...

    def run(self, flow: Flow[R]) -> R: ...
    def iterate(self, flow: Items[T]) -> Iterator[T]: ...


class AsyncCore(Core, Protocol):
    target: Target

    @property
    def transport(self) -> AsyncTransport: ...

    def blocking(self) -> Client: ...
    async def run(self, flow: Flow[R]) -> R: ...
    def iterate(self, flow: Items[T]) -> AsyncIterator[T]: ...


class Resource:
    """The base of every class of operations."""

    _client: Any

    def send(self, request: Request) -> Flow[Response]:
        """Send, trying again within the client's patience where that is safe; raises the typed error of a failure."""
        backoff = Backoff(self._client.patience)
        while True:
            try:
                response = yield from send(request)
                if response.status < 400:
                    return response
                raise from_response(response.status, response.body, response.headers)
            except (Unavailable, TooMany) as error:
                pause = backoff.next(error.retry_after) if _passing(error, request) else None
                if pause is None:
                    raise
            yield Pause(pause)

    def call(self, request: Request, answer: type[T]) -> Flow[T]:
        """`send`, and the answer decoded."""
        response = yield from self.send(request)
        return decode(response.body, answer)

    @property
    def address(self) -> str:
        """Where the API is reached."""
        url: str = self._client.target.url
        return url

    def tell(self, message: str) -> None:
        """Say why it takes long, to whoever asked to hear it."""
        if self._client.on_wait is not None:
            self._client.on_wait(message)


class Blocking(Resource):
    """Operations run in the calling thread."""

    def __init__(self, client: BlockingCore) -> None:
        self._client: BlockingCore = client


class Asynchronous(Resource):
    """Operations are coroutines on asyncio."""

    def __init__(self, client: AsyncCore) -> None:
        self._client: AsyncCore = client


class operation(Generic[S, P, R]):  # noqa: N801  a decorator
    """Makes a flow a method: blocking on a Blocking resource, a coroutine on an Asynchronous one."""

    def __init__(self, function: Callable[Concatenate[S, P], Flow[R]]) -> None:
        self.flow = function
        functools.update_wrapper(self, function)  # type: ignore[arg-type]

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Blocking, owner: type) -> Callable[P, R]: ...
    @overload
    def __get__(self, instance: Asynchronous, owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return instance._client.run(self.flow(instance, *args, **kwargs))

        return functools.update_wrapper(call, self.flow)


class listing(Generic[S, P, T]):  # noqa: N801  a decorator
    """Makes a flow that emits items a method that iterates over them."""

    def __init__(self, function: Callable[Concatenate[S, P], Items[T]]) -> None:
        self.flow = function
        functools.update_wrapper(self, function)  # type: ignore[arg-type]

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Blocking, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, instance: Asynchronous, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return instance._client.iterate(self.flow(instance, *args, **kwargs))

        return functools.update_wrapper(call, self.flow)


def decode(body: bytes, answer: type[T]) -> T:
    """An answer of the server. Raises BadAnswer when it has another shape."""
    try:
        return msgspec.json.decode(body, type=answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = body[:80].decode("utf-8", "replace")
        raise BadAnswer(
            f"the answer is not what Dais sends ({error}): {shown!r}",
            code="bad-answer",
            hint="check that the address is that of a Dais server, and compare the versions with `dais version`",
        ) from error


def _passing(error: DaisError, request: Request) -> bool:
    """Whether the same request may be sent again, with hope."""
    if isinstance(error, Unreachable):
        return not error.sent or request.may_repeat
    if isinstance(error, TooMany):
        return error.retry_after is not None
    return request.may_repeat and (error.retry_after is not None or error.code in ("http-502", "http-503", "http-504"))
