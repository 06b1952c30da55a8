"""The error families. A verb raises one of them; each surface words it in its own way (`api.errors` for HTTP).

DaisError
├── Invalid          what was asked can never work: the value is wrong
├── Unauthenticated  nobody is known to be asking
├── Forbidden        known, but not allowed
├── NotFound         no such thing, or none that the asker may see
├── Conflict         it clashes with what is there now
├── TooMany          a limit or quota is used up
└── Unavailable      the installation cannot do it now; trying later may help
"""

from __future__ import annotations

from typing import Any, ClassVar


class DaisError(Exception):
    """A failure that has a name.

    `code` is stable and kebab-case, for programs. `message` is for people: it names the wrong value and
    the remedy. `fields` carries the values themselves; they must be JSON-able and hold no secret.
    """

    family: ClassVar[str] = "error"

    def __init__(self, message: str, *, code: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.fields = fields

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r}, code={self.code!r}, fields={self.fields!r})"


class Invalid(DaisError):
    """What was asked can never work."""

    family = "invalid"


class Unauthenticated(DaisError):
    """No valid credential came with the request."""

    family = "unauthenticated"


class Forbidden(DaisError):
    """The caller is known and may not do this."""

    family = "forbidden"


class NotFound(DaisError):
    """There is no such thing, or none that the caller may see."""

    family = "not-found"


class Conflict(DaisError):
    """The request clashes with the present state."""

    family = "conflict"


class TooMany(DaisError):
    """A limit is used up. `fields["retry_after"]`, where there is one, is in seconds."""

    family = "too-many"


class Unavailable(DaisError):
    """The installation cannot do this now. `fields["retry_after"]`, where there is one, is in seconds."""

    family = "unavailable"
