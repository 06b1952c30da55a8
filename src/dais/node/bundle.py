"""The program of an allocation's supervisor with what it needs of the standard library, compiled, in one file.

Half of what a supervisor takes to start is to find and to read some fifty modules, each with several questions to a
file system that is another machine's. The file is written by a job that looks at a node (`looking`), lies beside the
modules and is as trusted as they are; it is named by the interpreter that wrote it, which alone reads it. Every other
one imports as usual.
"""

from __future__ import annotations

import gc
import marshal
import os
import sys
from _frozen_importlib import ModuleSpec  # importlib has the same, and twice as much to import

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


def begin() -> None:
    """Run the attempt of this allocation, its program from the bundle where there is one."""
    gc.disable()  # nothing of what is imported is garbage, and looking for it takes a sixth of the time
    try:
        with open(_place(), "rb", buffering=0) as file:
            sys.meta_path.insert(0, _Bundle(marshal.loads(file.read())))  # noqa: S302 - as trusted as the modules
    except (OSError, EOFError, ValueError, TypeError):
        pass
    from dais.node.allocation import main

    gc.freeze()  # nor will it ever be
    gc.enable()
    main()


def write(names: Sequence[str]) -> None:
    """Lay down these modules, which are imported. Raises OSError."""
    found = {}
    for name in names:
        module = sys.modules[name]
        spec = getattr(module, "__spec__", None)
        path = getattr(module, "__file__", None)
        if spec is None or spec.name != name or not isinstance(path, str) or not path.endswith(".py"):
            continue
        if spec.origin == "frozen":  # the interpreter has it in itself
            continue
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec", dont_inherit=True, optimize=2)
        found[name] = (path, hasattr(module, "__path__"), marshal.dumps(code))
    new = f"{_place()}.{os.getpid()}"
    with open(new, "wb") as file:
        marshal.dump(found, file)
    os.replace(new, _place())


def _place() -> str:
    """Where this very build of the interpreter has its bundle."""
    build = "".join(char if char.isalnum() or char == "." else "-" for char in f"{sys.version} {sys.prefix}")
    return f"{os.path.dirname(os.path.abspath(__file__))}/{build[:200]}.bundle"


class _Bundle:
    """Finds and loads modules in a bundle."""

    def __init__(self, modules: dict[str, tuple[str, bool, bytes]]) -> None:
        self._modules = modules

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The specification of a module that is here."""
        if name not in self._modules:
            return None
        path, package, _ = self._modules[name]
        spec = ModuleSpec(name, self, origin=path, is_package=package)  # type: ignore[arg-type]
        if package:
            spec.submodule_search_locations = [os.path.dirname(path)]  # of what is not here
        return spec

    def create_module(self, _spec: ModuleSpec) -> None:
        """The usual one."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill it."""
        path, _, code = self._modules[module.__name__]
        module.__file__ = path
        exec(marshal.loads(code), module.__dict__)  # noqa: S102, S302 - what importing is
