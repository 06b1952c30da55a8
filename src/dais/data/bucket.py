"""A bucket of an S3-compatible object store: objects whole or absent, failures in words, nothing secret in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from dais.data.store_settings import StoreSettings
from dais.kit.errors import DaisError, Invalid, Unavailable

if TYPE_CHECKING:
    from obstore.store import S3Config

    from dais.data.pieces import Data

KEY_FILE = "store.key"
"""In the data directory: the id of the access key and its secret, a line each."""

AT_ONCE = 16
PART = 16 << 20
MOST_PARTS = 9_000

T = TypeVar("T")
R = TypeVar("R")


class Object(NamedTuple):
    """An object in a list; `changed` is in seconds."""

    key: str
    size: int
    changed: float


class Bucket:
    """Objects by their keys below the prefix. Every method blocks, raises Unavailable, and is for several threads."""

    def __init__(self, settings: StoreSettings, data_dir: Path) -> None:
        from obstore.store import S3Store

        key, secret, token = _credentials(data_dir)
        config: S3Config = {
            "region": settings.region,
            "virtual_hosted_style_request": settings.virtual_host,
            "access_key_id": key,
            "secret_access_key": secret,
        }
        if settings.endpoint:
            config["endpoint"] = settings.endpoint.rstrip("/")
        if token:
            config["session_token"] = token
        if settings.checksums:
            config["checksum_algorithm"] = "SHA256"
        self.name = settings.bucket
        self._where = f"the bucket {settings.bucket!r} of {settings.endpoint or 'Amazon S3'}"
        try:
            self._store = S3Store(
                settings.bucket,
                prefix=settings.prefix.strip("/") or None,
                config=config,
                client_options={
                    "allow_http": settings.endpoint.startswith("http://"),
                    "connect_timeout": timedelta(seconds=min(settings.timeout, 10)),
                    "timeout": timedelta(seconds=settings.timeout),
                },
                retry_config={"max_retries": 8, "retry_timeout": timedelta(seconds=settings.patience)},
            )
        except Exception as error:  # whatever kind it is, it is about the settings
            raise Invalid(
                f"[store] does not name an object store: {_first_line(error)}", code="bad-setting", setting="[store]"
            ) from error
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="dais-bucket")

    def check(self) -> None:
        """Return when the bucket can be listed."""
        with self._told():
            for _ in self._store.list(prefix="nothing-here", chunk_size=1):
                break

    def size(self, key: str) -> int | None:
        """Bytes of an object; None when there is none."""
        found = self.look(key)
        return None if found is None else found.size

    def look(self, key: str) -> Object | None:
        """What is known of an object; None when there is none."""
        with self._told():
            try:
                return _object(self._store.head(key))
            except FileNotFoundError:
                return None

    def get(self, key: str) -> bytes | None:
        """All of a small object; None when there is none."""
        with self._told():
            try:
                return bytes(self._store.get(key).bytes())
            except FileNotFoundError as error:
                self._refuse_no_bucket(error)
                return None

    def read(self, key: str, write: Callable[[bytes], None]) -> bool:
        """Hand all of an object on, in pieces; whether there is one."""
        with self._told():
            try:
                got = self._store.get(key)
            except FileNotFoundError as error:
                self._refuse_no_bucket(error)
                return False
            for piece in got.stream(min_chunk_size=1 << 20):
                write(bytes(piece))
        return True

    def get_range(self, key: str, offset: int, count: int) -> bytes | None:
        """Bytes of an object from an offset on, which lie within it; None when there is no object."""
        with self._told():
            try:
                return bytes(self._store.get_range(key, start=offset, length=count))
            except FileNotFoundError as error:
                self._refuse_no_bucket(error)
                return None

    def put(self, key: str, data: Data) -> None:
        """Make an object of bytes: all of it is there, or nothing."""
        with self._told():
            self._store.put(key, bytes(data), use_multipart=False)

    def put_file(self, key: str, path: Path, size: int) -> None:
        """Make an object of a file, in parts; it is there when all of them are."""
        part = max(PART, size // MOST_PARTS)
        with self._told(), path.open("rb") as file:
            if size <= PART:
                self._store.put(key, file.read(), use_multipart=False)
            else:
                self._store.put(key, file, use_multipart=True, chunk_size=part, max_concurrency=4)

    def list(self, prefix: str = "") -> Iterator[Object]:
        """The objects below a prefix (whole segments), by their keys."""
        with self._told():
            for page in self._store.list(prefix=prefix or None, chunk_size=1000):
                for found in page:
                    yield _object(found)

    def delete(self, keys: Collection[str]) -> None:
        """Remove objects; those that are not there are passed over."""
        with self._told():
            if keys:
                self._store.delete(list(keys))

    def each(self, do: Callable[[T], R], things: Iterable[T]) -> Iterator[R]:
        """Do something with each of many, some at once; the results in order. Not from within itself."""
        return self._threads.map(do, things)

    @contextmanager
    def _told(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except DaisError:
            raise
        except (BaseError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of this machine's disk
            raise self._error(error) from None  # its text tells addresses and answers at length

    def _refuse_no_bucket(self, error: BaseException) -> None:
        if "NoSuchBucket" in str(error):
            raise self._error(error)

    def _error(self, error: BaseException) -> Unavailable:
        text = str(error)
        if "NoSuchBucket" in text:
            return Unavailable(
                f"{self._where} does not exist; make it, or name another with [store] bucket", code="store-no-bucket"
            )
        if any(word in text for word in ("403 Forbidden", "401 Unauthorized", "AccessDenied", "InvalidAccessKeyId")):
            return Unavailable(
                f"{self._where} refuses the server's key; give one that may list, read, write and delete "
                f"(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or {KEY_FILE} in the data directory)",
                code="store-denied",
            )
        return Unavailable(
            f"{self._where} does not answer as it should: {_first_line(error)}; look whether it is up, then try again",
            code="store-unreachable",
            retry_after=5,
        )


def _credentials(data_dir: Path) -> tuple[str, str, str]:
    """The id of a key, its secret, and a session's token. Raises Invalid `no-store-key`, `open-store-key`."""
    environment = os.environ
    if "AWS_ACCESS_KEY_ID" in environment:
        secret = environment.get("AWS_SECRET_ACCESS_KEY", "")
        return environment["AWS_ACCESS_KEY_ID"], secret, environment.get("AWS_SESSION_TOKEN", "")
    place = data_dir / KEY_FILE
    try:
        if place.stat().st_mode & 0o077:
            raise Invalid(
                f"{place} can be read by other users of this machine; chmod 600 it, and better make a new key",
                code="open-store-key",
            )
        key, secret = place.read_text("utf-8").split()
    except (OSError, ValueError) as error:
        raise Invalid(
            f"there is no key for the object store; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write its id "
            f"and its secret into {place}, a line each",
            code="no-store-key",
        ) from error
    return key, secret, ""


def _object(found: Any) -> Object:
    return Object(found["path"], found["size"], found["last_modified"].timestamp())


def _first_line(error: BaseException) -> str:
    """What happened, without the debugging text, the answer's body, and the address with its key."""
    line = str(error).partition("\n")[0].partition("<")[0]
    return line.partition(" - ")[2].strip(" :") or line.strip(" :")[:200]
