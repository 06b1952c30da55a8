"""Who may write what: transactions are ended by the edges, a job's state is written by its life cycle alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.architecture.imports import part_of
from tests.architecture.sources import Source, Tree

COMMITTERS = {"kit", "app"}
"""Parts that may end a transaction."""

DOMAINS = {"kit", "identity", "data", "provenance", "compute", "experiments", "serving", "courses"}
"""Parts that speak SQL."""

JOB_PARTS = {"compute", "experiments", "serving", "courses", "proxy", "api", "web", "app"}
"""Parts that have jobs in their hands."""

STATE_WRITERS = ("dais.compute.jobs.lifecycle", "dais.compute.jobs.apply")
"""The pure life cycle, and the module that writes down what it decided."""

_job_tables = re.compile(r"(^|[._])(jobs?|runs?)(_table)?$")


def commits(tree: Tree) -> list[str]:
    """Transactions that are ended where a caller may still want to add to them."""
    return [
        f"{tree.where(source, call.lineno)}: only kit and the edges commit"
        for source in tree.sources
        if part_of(source.module) not in COMMITTERS and not part_of(source.module).startswith("engines")
        for call in _calls(source.tree)
        if _method(call) == "commit" and not call.args  # an engine makes an image of a container by that name
    ]


def state_writes(tree: Tree) -> list[str]:
    """Job states that are written past the life cycle: by assignment, by copy, or by SQL."""
    found = []
    for source in tree.sources:
        if part_of(source.module) in JOB_PARTS and not source.module.startswith(STATE_WRITERS):
            found += [
                f"{tree.where(source, line)}: {what}; only {' and '.join(STATE_WRITERS)} may"
                for line, what in _state_writes(source)
            ]
    return found


def values_per_call(tree: Tree) -> list[str]:
    """Statements that are built anew for every call, where a constant with parameters is compiled once."""
    return [
        f"{tree.where(source, call.lineno)}: .values() inside a function; make the statement a constant"
        for source in tree.sources
        if part_of(source.module) in DOMAINS
        for function in ast.walk(source.tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for call in _calls(function)
        if _method(call) == "values" and (call.args or call.keywords)
    ]


def _state_writes(source: Source) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Attribute) and target.attr == "state" and ast.unparse(target) != "self.state":
                    yield node.lineno, f"assigns {ast.unparse(target)}"
    for call in _calls(source.tree):
        if "state" not in _written(call):
            continue
        if _called(call) in ("replace", "_replace") and _job_tables.search(_copied(call)):
            yield call.lineno, f"copies {_copied(call)} with another state"
        if _called(call) == "values" and _job_tables.search(_updated_table(call)):
            yield call.lineno, f"updates the state of {_updated_table(call)}"


def _copied(call: ast.Call) -> str:
    """What `replace(job, …)` or `job._replace(…)` copies."""
    if isinstance(call.func, ast.Attribute) and call.func.attr == "_replace":
        return ast.unparse(call.func.value)
    return ast.unparse(call.args[0]) if call.args else ""


def _written(call: ast.Call) -> set[str]:
    """The columns or fields that a call sets: keywords, and the keys of dictionaries."""
    names = {keyword.arg for keyword in call.keywords if keyword.arg}
    for argument in call.args:
        for key in argument.keys if isinstance(argument, ast.Dict) else ():
            if isinstance(key, ast.Constant):
                names.add(str(key.value))
            elif isinstance(key, ast.Attribute):
                names.add(key.attr)
    return names


def _chain(call: ast.Call) -> Iterator[ast.Call]:
    """`update(t).where(…).values(…)`, from the outermost call inward."""
    node: ast.expr = call
    while isinstance(node, ast.Call):
        yield node
        node = node.func.value if isinstance(node.func, ast.Attribute) else node.func


def _updated_table(call: ast.Call) -> str:
    """The table of `update(jobs)…` or `jobs.update()…`; empty when there is none to be seen."""
    for part in _chain(call):
        if _called(part) == "update":
            if part.args:
                return ast.unparse(part.args[0])
            if isinstance(part.func, ast.Attribute):
                return ast.unparse(part.func.value)
    return ""


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Name):
        return call.func.id
    return _method(call) or ""


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    return (child for child in ast.walk(node) if isinstance(child, ast.Call))


def _method(call: ast.Call) -> str | None:
    return call.func.attr if isinstance(call.func, ast.Attribute) else None
