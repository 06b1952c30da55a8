"""The supervisor's program on the shared file system: nodes need a Python, and nothing of Dais."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import dais.node
from dais import __version__
from dais.engines.slurm.store import Store
from dais.engines.supervised.seccomp import filter_program
from dais.node.seccomp import store as store_filter


def lay_down(store: Store, owner: tuple[int, int] | None) -> Path:
    """Make a group's directory with everything that nodes need; the program's. Blocking. Raises OSError."""
    store.make()
    store_filter(str(store.directory), filter_program())
    store.give(store.directory / "seccomp.bpf")
    return install(store.directory, owner)


def install(directory: Path, owner: tuple[int, int] | None) -> Path:
    """Lay down this version's program and return the directory to import it from. Raises OSError.

    Each version has its own, so that what runs keeps the one that it was started with.
    """
    source = Path(dais.node.__file__).parent
    files = sorted(source.glob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    place = directory / "program" / digest.hexdigest()[:16]
    if place.exists():
        return place
    new = place.with_name(f".{place.name}.{os.getpid()}")
    shutil.rmtree(new, ignore_errors=True)
    (new / "dais" / "node").mkdir(parents=True)
    (new / "dais" / "__init__.py").write_text(f"__version__ = {__version__!r}\n")
    for file in files:
        shutil.copyfile(file, new / "dais" / "node" / file.name)
    # What the server imports from the package is not what a supervisor needs.
    (new / "dais" / "node" / "__init__.py").write_text("")
    for path in (place.parent, new, *new.rglob("*")):
        if owner is not None:
            os.chown(path, *owner)
    new.rename(place)
    return place
