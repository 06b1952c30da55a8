"""Making the engine of a resource group from what was said when it was attached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dais.engines.contract import Engine
from dais.kit.errors import Invalid
from dais.kit.vault import Vault


@dataclass(frozen=True)
class EngineParts:
    """What an engine may be made with. `directory` is its own below the data directory, made when it is needed."""

    group: str
    directory: Path
    data_dir: Path
    settings: Mapping[str, Any]
    vault: Vault


Maker = Callable[[Mapping[str, Any], EngineParts], Engine]

MAKERS: dict[str, Maker] = {}
"""By what `dais attach` is told. Each imports its engine when it is called: nobody pays for those that are not used."""


def make_engine(kind: str, options: Mapping[str, Any], parts: EngineParts) -> Engine:
    """The engine, not started. Raises Invalid for a kind that does not exist and for options that it does not have."""
    maker = MAKERS.get(kind)
    if maker is None:
        raise Invalid(f"there is no engine {kind!r}; there are: {', '.join(sorted(MAKERS))}", code="no-such-engine")
    return maker(options, parts)
