"""The failures that a client sees: the server's problems (RFC 9457) as typed exceptions, and failures on the way to it.

DaisError
├── Invalid          what was asked can never work
├── Unauthenticated  no valid token came with the request
├── Forbidden        the token's owner may not do this
├── NotFound         no such thing, or none that the token's owner may see
├── Conflict         it clashes with what is there now
├── TooMany          a limit or quota is used up
├── Unavailable      the installation cannot do it now
│   └── Unreachable  nothing answered at the address
└── BadAnswer        something answered, but not as Dais does
"""

from __future__ import annotations

from typing import Any


class DaisError(Exception):
    """A failure with a stable `code` for programs, a message for people, and the values in `fields`.

    `status` is the HTTP status, or None when there was no answer. `hint`, where there is one, is what to do next.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "error",
        status: int | None = None,
        fields: dict[str, Any] | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.fields = fields or {}
        self.hint = hint

    @property
    def retry_after(self) -> float | None:
        """Seconds after which trying again may help; None when the server did not say."""
        seconds = self.fields.get("retry_after")
        return float(seconds) if isinstance(seconds, int | float) else None


class Invalid(DaisError):
    """What was asked can never work; `fields` names what was wrong."""


class Unauthenticated(DaisError):
    """The token is missing, unknown, revoked or expired."""


class Forbidden(DaisError):
    """The token's owner is known and may not do this."""


class NotFound(DaisError):
    """There is no such thing, or none that the token's owner may see."""


class Conflict(DaisError):
    """The request clashes with the present state."""


class TooMany(DaisError):
    """A limit is used up; `retry_after` says when to come back."""


class Unavailable(DaisError):
    """The installation cannot do this now."""


class Unreachable(Unavailable):
    """Nothing answered. `sent` is False when the request certainly did not arrive."""

    def __init__(self, message: str, *, sent: bool, hint: str | None = None) -> None:
        super().__init__(message, code="unreachable", hint=hint)
        self.sent = sent


class BadAnswer(DaisError):
    """What answered does not speak as Dais does: another program, a proxy, or a much newer server."""


_by_status: dict[int, type[DaisError]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: Invalid,
    409: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: TooMany,
    503: Unavailable,
}


def from_response(status: int, body: bytes, headers: dict[str, str]) -> DaisError:
    """The exception for an answer of 400 or above. `headers` have lower-case names."""
    import msgspec  # a command that goes well may need neither

    from dais.wire.answers import Problem

    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:  # a proxy's page, or nothing at all
        family = _by_status.get(status, Unavailable if status in (502, 504) else BadAnswer)
        text = body[:200].decode("utf-8", "replace").strip() or "no explanation"
        return family(f"the server answered {status}: {text}", code=f"http-{status}", status=status)
    fields = dict(problem.fields)
    if "retry_after" not in fields and headers.get("retry-after", "").isdigit():
        fields["retry_after"] = int(headers["retry-after"])
    family = _by_status.get(problem.status, DaisError)
    return family(problem.detail or problem.title, code=problem.code, status=problem.status, fields=fields)
