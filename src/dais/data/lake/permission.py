"""Asking for many files at once: one entry in the audit log, and an error for the first that is refused."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dais.identity import Account, Actor, may, only_reads, record, require, resource_at, visible
from dais.kit.database import UnitOfWork


def require_all(
    uow: UnitOfWork, actor: Actor, action: str, where: Account, paths: Sequence[str], *, audited: bool = True
) -> None:
    """Return when `actor` may do `action` with every file of an account. Raises Forbidden for the first of the others.

    The audit log is told once, by the directory that all lie in; unless `audited` is False: nothing will be changed.
    """
    new = action.endswith(":new")
    for path in () if visible(uow, actor, action).everything else paths:
        if not may(uow, actor, action, resource_at(uow, "file", path, account_id=where.id, new=new)):
            require(uow, actor, action, account_id=where.id, resource_id=path)
    if not audited or only_reads(action):
        return
    if len(paths) == 1:
        common = paths[0]
    else:
        common = os.path.commonpath(paths).rstrip("/") + "/" if paths else "/"
    resource = resource_at(uow, "file", common, account_id=where.id)
    record(uow, actor, action, resource.urn, resource.organization_id, allowed=True)
