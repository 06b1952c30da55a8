"""The Python client: `Client` and `AsyncClient`, typed, over the native API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dais.sdk.client import AsyncClient, Client
    from dais.sdk.errors import DaisError

__all__ = ["AsyncClient", "Client", "DaisError"]

_homes = {"AsyncClient": "dais.sdk.client", "Client": "dais.sdk.client", "DaisError": "dais.sdk.errors"}


def __getattr__(name: str) -> Any:
    """Names are imported when they are first used: the command line needs few of them."""
    if name not in _homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_homes[name]), name)
