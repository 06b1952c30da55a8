"""How an address is called by the test that walks through every gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EVERYTHING = "*"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One way to call an address. `action`: where the address has several, the one that this call asks for.

    `needs` are other actions without which the thing cannot be named, or the act is refused for another reason (nobody
    grants more than they have: then it is EVERYTHING). `whole`: no narrowed token may do it. `shown` is False where
    every answer is filtered, and nothing refused.

    What a predefined role lets everybody do, only a narrowed token can lack: `own` is for oneself or everywhere,
    `inside` for the members of the organization. `seen`: others see that it is there. `apart`: it is done in the
    caller's own organization, and cannot reach another.
    """

    action: str = ""
    query: str = ""
    body: Any = None
    raw: bytes | None = None
    needs: str = ""
    of: str = ""
    own: bool = False
    inside: bool = False
    seen: bool = False
    apart: bool = False
    whole: bool = False
    shown: bool = True
