"""Hashing passwords (argon2id), a few at a time, and refusing weak ones."""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

from dais.identity.settings import IdentitySettings
from dais.kit.errors import Invalid, TooMany

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MOST_WAITING = 64
"""Passwords that wait for their turn; others are refused at once."""
MIN_LENGTH, MAX_LENGTH = 8, 256
"""Characters of a password."""
JUDGED = 72
"""Characters whose strength is judged: it takes long for long ones, and these are enough."""
ENOUGH = 3
"""Of zxcvbn's scores 0 to 4: about 10^8 guesses and more."""

_between = re.compile(r"[\s@._-]+")


class Hashing:
    """Hashes passwords in worker threads, at most so many at a time as the settings say: each takes much memory.

    Raises TooMany `too-many-sign-ins` when too many wait. `done` counts the hashes that were computed.
    """

    def __init__(self, settings: IdentitySettings) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.password_parallel)
        self._waiting = 0
        self._made: PasswordHasher | None = None
        self.done = 0

    async def make(self, password: str) -> str:
        """What is stored of a password."""
        return str(await self._turn(self._hasher().hash, password))

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether it is the password. None is compared with the hash of nothing: the same work, and always False."""
        return bool(await self._turn(self._verify, stored or self._nothing(), password))

    def outdated(self, stored: str) -> bool:
        """Whether it was hashed with other parameters than are set now."""
        return self._hasher().check_needs_rehash(stored)

    async def _turn(self, work: object, *args: str) -> object:
        if self._waiting >= MOST_WAITING:
            raise TooMany(
                "too many people sign in at this moment; try again in a few seconds",
                code="too-many-sign-ins",
                retry_after=5,
            )
        self._waiting += 1
        try:
            async with self._slots:
                self.done += 1
                return await asyncio.to_thread(work, *args)  # type: ignore[arg-type]
        finally:
            self._waiting -= 1

    def _verify(self, stored: str, password: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            return self._hasher().verify(stored, password.encode("utf-8", "surrogatepass"))
        except (VerificationError, InvalidHashError):
            return False

    def _nothing(self) -> str:
        """A hash of the set parameters that belongs to no password."""
        salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
        given = self._settings
        lanes = self._hasher().parallelism
        return f"$argon2id$v=19$m={given.password_memory << 10},t={given.password_passes},p={lanes}${salt}${digest}"

    def _hasher(self) -> PasswordHasher:
        if self._made is None:
            from argon2 import PasswordHasher  # many servers never need it

            given = self._settings
            self._made = PasswordHasher(time_cost=given.password_passes, memory_cost=given.password_memory << 10)
        return self._made


def check_password(password: str, known: Iterable[str | None]) -> str:
    """The password itself. `known` are names and addresses of its owner: what others guess first. Takes a while.

    Raises Invalid `bad-password`, or `weak-password` with what would make it stronger.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise Invalid(
            f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters, not {len(password)}", code="bad-password"
        )
    if "\0" in password:
        raise Invalid("a password holds no NUL character", code="bad-password")
    from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # its lists of words take memory, and are needed rarely

    words = [word for text in known if text for word in (text, *text.split("@"), *_between.split(text)) if word]
    judged = zxcvbn(password[:JUDGED], user_inputs=words)
    if judged["score"] < ENOUGH:
        feedback = judged["feedback"]
        said = [feedback["warning"], *feedback["suggestions"]]
        advice = " ".join(f"{text.strip().rstrip('.')}." for text in said if text)
        raise Invalid(
            f"this password would be guessed soon. {advice or 'Use a few words that do not belong together.'}",
            code="weak-password",
            score=judged["score"],
        )
    return password
