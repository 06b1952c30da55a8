"""The kinds of entities that have metadata, of all packages."""

from __future__ import annotations

import difflib

from dais.compute import IMAGE, JOB
from dais.kit.errors import Invalid
from dais.provenance import FILE, FILESET, FOLDER, USER, Kind

KINDS = {kind.name: kind for kind in (FILE, FILESET, FOLDER, JOB, IMAGE, USER)}


def kind_named(name: str) -> Kind:
    """The kind of a name. Raises Invalid `unknown-kind`."""
    kind = KINDS.get(name)
    if kind is not None:
        return kind
    near = difflib.get_close_matches(name, KINDS, 1)
    raise Invalid(
        f"there is no kind {name[:40]!r}; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(KINDS)}"),
        code="unknown-kind",
        kind=name[:40],
    )
