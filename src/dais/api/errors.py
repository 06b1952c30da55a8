"""Failures as RFC 9457 problem details: the one place where HTTP learns of the error families."""

from __future__ import annotations

import logging
import math
from typing import Any

import msgspec

from dais.kit.errors import (
    Conflict,
    DaisError,
    Forbidden,
    Invalid,
    NotFound,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from dais.kit.ids import new_id
from dais.wire.answers import Problem

log = logging.getLogger(__name__)

STATUS: dict[type[DaisError], tuple[int, str]] = {
    Invalid: (400, "The request is wrong"),
    Unauthenticated: (401, "Who is asking is not known"),
    Forbidden: (403, "Not allowed"),
    NotFound: (404, "Not found"),
    Conflict: (409, "It conflicts with the present state"),
    TooMany: (429, "A limit is used up"),
    Unavailable: (503, "Not available now"),
}
"""Status and title of each family."""


class HttpProblem(Exception):
    """A failure of HTTP itself (method, size), which no verb can raise."""

    def __init__(
        self, status: int, title: str, detail: str, *, code: str, headers: dict[str, str] | None = None, **fields: Any
    ) -> None:
        super().__init__(detail)
        self.headers = headers or {}
        self.problem = Problem(type=_type(code), title=title, status=status, detail=detail, code=code, fields=fields)


class Disconnected(Exception):
    """The client has gone: nobody to answer."""


def describe(error: BaseException) -> tuple[Problem, dict[str, str]]:
    """The problem that tells of `error`, and the headers that go with it.

    What nobody expected is logged whole, under an id; the client gets that id and nothing else.
    """
    if isinstance(error, HttpProblem):
        return error.problem, error.headers
    if isinstance(error, DaisError):
        return _of_family(error)
    reference = new_id()
    log.error("request failed unexpectedly, reference %s", reference, exc_info=error)
    problem = Problem(
        type=_type("internal-error"),
        title="Dais failed",
        status=500,
        detail=f"This is a fault of Dais; the server's log tells more under {reference}",
        code="internal-error",
        fields={"reference": reference},
    )
    return problem, {}


def encode(problem: Problem) -> bytes:
    """The problem as JSON; fields that are no JSON are carried as text, text that is no Unicode with escapes."""
    try:
        return msgspec.json.encode(problem, enc_hook=str)
    except (UnicodeEncodeError, TypeError, OverflowError):
        detail = problem.detail.encode("utf-8", "backslashreplace").decode()
        return msgspec.json.encode(msgspec.structs.replace(problem, detail=detail, fields={}))


def _of_family(error: DaisError) -> tuple[Problem, dict[str, str]]:
    status, title = next((found for family, found in STATUS.items() if isinstance(error, family)), (500, "Dais failed"))
    headers: dict[str, str] = {}
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="dais"'
    wait = error.fields.get("retry_after")
    if isinstance(wait, int | float):
        headers["retry-after"] = str(max(1, math.ceil(wait)))
    problem = Problem(
        type=_type(error.code), title=title, status=status, detail=error.message, code=error.code, fields=error.fields
    )
    return problem, headers


def _type(code: str) -> str:
    return f"urn:dais:problem:{code}"
