"""What the distribution has as extras of its own, because few installations need it."""

from __future__ import annotations

from importlib.util import find_spec

from dais.kit.errors import Unavailable


def require(module: str, extra: str, what: str) -> None:
    """Return when a module is installed; it is not imported. Raises Unavailable `not-installed` with the remedy."""
    if find_spec(module) is None:
        raise Unavailable(
            f"{what} needs {module}, which is not installed: it is the extra dais-platform[{extra}]; say "
            f"pip install '.[server,{extra}]' in a clone",
            code="not-installed",
            extra=extra,
        )
