"""The engines that can be attached: a row for each kind, which imports the engine when it is asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dais.compute import EngineKind
from dais.engines.contract import CheckReport, Engine
from dais.engines.supervised.remote import Remote
from dais.kit.vault import Vault


@dataclass(frozen=True)
class EngineParts:
    """What an engine may be made with. `directory` is its own below the data directory, made when it is needed.

    `remote` reaches supervisors on other machines; an engine that needs it opens it when it starts.
    """

    group: str
    directory: Path
    data_dir: Path
    settings: Mapping[str, Any]
    vault: Vault
    remote: Remote


@dataclass(frozen=True)
class Kind:
    """What the package of an engine offers (`dais.engines.contract.check`); `check` is told `data_dir`."""

    options: type[msgspec.Struct]
    make: Callable[[Any, EngineParts], Engine]
    check: Callable[..., Awaitable[CheckReport]]


def _slurm() -> Kind:
    from dais.engines.slurm import SlurmEngine, SlurmOptions, check

    return Kind(SlurmOptions, lambda options, parts: SlurmEngine(options, parts.directory, parts.remote), check)


def _docker() -> Kind:
    from dais.engines.container import ContainerEngine, ContainerOptions, check_docker

    return Kind(
        ContainerOptions, lambda options, parts: ContainerEngine("docker", parts.directory, options), check_docker
    )


def _podman() -> Kind:
    from dais.engines.container import ContainerEngine, ContainerOptions, check_podman

    return Kind(
        ContainerOptions, lambda options, parts: ContainerEngine("podman", parts.directory, options), check_podman
    )


KINDS: dict[str, Callable[[], Kind]] = {"docker": _docker, "podman": _podman, "slurm": _slurm}
"""By what `dais attach` is told. Nobody pays for those that are not used: each imports its engine when it is called."""


def engine_kinds(
    data_dir: Path, settings: Mapping[str, Any], vault: Vault, remote: Remote
) -> dict[str, Callable[[], EngineKind]]:
    """The table as compute uses it, for one installation."""

    def bound(kind: Kind) -> EngineKind:
        def make(options: Any, group: str) -> Engine:
            directory = data_dir / "engines" / group
            return kind.make(options, EngineParts(group, directory, data_dir, settings, vault, remote))

        async def check(options: Any) -> CheckReport:
            return await kind.check(options, data_dir=data_dir)

        return EngineKind(kind.options, make, check)

    def entry(load: Callable[[], Kind]) -> Callable[[], EngineKind]:
        return lambda: bound(load())

    return {name: entry(load) for name, load in KINDS.items()}
