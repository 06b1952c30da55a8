"""The sources under test, parsed once: what each module imports, and what each package offers."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module. `typing_only` is under TYPE_CHECKING, `lazy` inside a function."""

    target: str
    name: str | None
    line: int
    lazy: bool
    typing_only: bool


@dataclass(frozen=True)
class Source:
    """One parsed module of the package `dais`."""

    path: Path
    module: str
    tree: ast.Module
    imports: tuple[Import, ...]


@dataclass(frozen=True)
class Tree:
    """Every module below a directory `src`."""

    root: Path
    sources: tuple[Source, ...]
    modules: frozenset[str]
    _exports: dict[str, frozenset[str]] = field(default_factory=dict)

    def where(self, source: Source, line: int) -> str:
        return f"{source.path.relative_to(self.root)}:{line}"

    def exports(self, package: str) -> frozenset[str]:
        """The names that a package's `__init__` offers: its `__all__`, else whatever is bound there."""
        if package not in self._exports:
            module = next((s.tree for s in self.sources if s.module == package), None)
            self._exports[package] = frozenset(_exported(module)) if module else frozenset()
        return self._exports[package]


def read_tree(root: Path) -> Tree:
    """Parse every module of `root`/src/dais."""
    paths = sorted((root / "src" / "dais").rglob("*.py"))
    modules = frozenset(_module_name(root, path) for path in paths)
    sources = tuple(_parse(root, path, modules) for path in paths)
    return Tree(root, sources, modules)


@functools.cache
def project() -> Tree:
    """The project's own sources. That there are some is checked here, for every rule."""
    tree = read_tree(ROOT)
    assert len(tree.sources) > 10, f"hardly any module was found below {ROOT}/src/dais"
    return tree


def _parse(root: Path, path: Path, modules: frozenset[str]) -> Source:
    module = _module_name(root, path)
    tree = ast.parse(path.read_text(), filename=str(path))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return Source(path, module, tree, tuple(_imports(tree, package, modules)))


def _module_name(root: Path, path: Path) -> str:
    parts = path.relative_to(root / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(
    node: ast.AST, package: str, modules: frozenset[str], *, lazy: bool = False, typing_only: bool = False
) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, None, child.lineno, lazy, typing_only)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                parent = package.split(".")[: len(package.split(".")) - child.level + 1]
                base = ".".join([*parent, *([base] if base else [])])
            for alias in child.names:
                yield Import(base, alias.name, child.lineno, lazy, typing_only)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            guarded = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from _imports(child, package, modules, lazy=lazy or inside, typing_only=typing_only or guarded)


def _exported(module: ast.Module) -> set[str]:
    bound: set[str] = set()
    for node in module.body:
        if isinstance(node, ast.Assign):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            if "__all__" in names:
                return set(ast.literal_eval(node.value))
            bound |= names
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            bound.add(node.target.id)
    return bound
