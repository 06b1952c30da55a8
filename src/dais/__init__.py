"""Dais, a self-hosted AI compute platform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dais.sdk import AsyncClient, Client, DaisError
    from dais.sdk.reporting import report

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "DaisError", "__version__", "report"]


def __getattr__(name: str) -> Any:
    """The client's names, imported when they are first used."""
    if name == "report":
        from dais.sdk.reporting import report

        return report
    if name not in ("AsyncClient", "Client", "DaisError"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dais import sdk

    return getattr(sdk, name)
