"""Who is told when a job ends: `https://…` (a webhook), `mail:ADDRESS`, or `none` (nobody, whatever the default is)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from dais.wire.problems import SpecError, shown
from dais.wire.scalars import list_of, text_of

NOBODY = "none"
MAIL = "mail:"
MAX_TARGETS = 8
MAX_URL = 2_000

_address = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*",
    re.ASCII,
)
_printable = re.compile(r"[!-~]+", re.ASCII)
_expected = "https://… or mail:ADDRESS"


def read_notify(value: Any, path: str) -> tuple[str, ...]:
    """The field `notify`. Raises SpecError."""
    return tuple(text_of(item, f"{path}[{index}]") for index, item in enumerate(list_of(value, path)))


def check_targets(targets: tuple[str, ...], path: str = "notify") -> tuple[str, ...]:
    """The targets themselves. Raises SpecError for the first that can be none."""
    if len(targets) > MAX_TARGETS:
        raise SpecError(path, f"{len(targets)} are too many; at most {MAX_TARGETS} are told of one job")
    for index, target in enumerate(targets):
        where = f"{path}[{index}]"
        if target in targets[:index]:
            raise SpecError(where, f"{shown(target)} is given twice", given=target, hint="keep one of them")
        if target == NOBODY:
            if len(targets) > 1:
                raise SpecError(where, "'none' stands beside others", given=target, hint="leave one of them out")
        elif target.startswith(MAIL):
            _check_mail(target, where)
        else:
            _check_url(target, where)
    return targets


def _check_mail(target: str, path: str) -> None:
    address = target.removeprefix(MAIL)
    if len(address) > 254 or not _address.fullmatch(address):
        raise SpecError(path, f"{shown(address)} is no mail address", given=target, hint="write mail:ann@example.org")


def _check_url(target: str, path: str) -> None:
    if len(target) > MAX_URL:
        raise SpecError(path, f"an address of {len(target):,} characters is too long; one has at most {MAX_URL:,}")
    try:
        url = urlsplit(target)
        port_fits = url.port != 0
    except ValueError:
        url, port_fits = urlsplit(""), False
    if url.scheme not in ("https", "http") or not url.hostname or not port_fits or not _printable.fullmatch(target):
        raise SpecError(
            path,
            f"{shown(target)} is nobody that could be told",
            given=target,
            expected=_expected,
            hint=f"write {_expected}",
        )
    if url.username is not None or url.password is not None:
        raise SpecError(
            path,
            f"the address of {shown(url.hostname)} holds a user or a password, which would stand in the specification",
            hint="leave them out; the message is signed, see `dais notify secret`",
        )
