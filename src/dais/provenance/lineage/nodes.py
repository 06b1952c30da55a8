"""What the nodes of a trace are called, as far as the asker may know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
from sqlalchemy import Table, bindparam, select

from dais.data import file_versions_by_id, set_versions
from dais.identity import Actor, get_account, may_see, user_names
from dais.kit.clock import to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.provenance.lineage.tables import derivation_codes, derivation_inputs, derivation_outputs, derivations
from dais.wire.lineage import TraceNode

_columns = (
    derivations.c.id,
    derivations.c.job_id,
    derivations.c.run_index,
    derivations.c.account_id,
    derivations.c.facts,
    derivations.c.made_at,
)
_derivations = Statement(select(*_columns).where(in_list(derivations.c.id, "ids")))
_of_job = Statement(
    select(*_columns).where(derivations.c.job_id == bindparam("job_id")).order_by(derivations.c.run_index)
)


def _names(table: Table) -> Statement:
    return Statement(
        select(table.c.set_version_id, table.c.account_id, table.c.name, table.c.version).where(
            in_list(table.c.set_version_id, "ids"), table.c.name != ""
        )
    )


_codes = Statement(
    select(
        derivation_codes.c.file_version_id,
        derivation_codes.c.account_id,
        derivation_codes.c.path,
        derivation_codes.c.version,
    ).where(in_list(derivation_codes.c.file_version_id, "ids"))
)
_recorded = (_names(derivation_inputs), _names(derivation_outputs))


def derivations_of_job(uow: UnitOfWork, job_id: str) -> list[Row]:
    """What the runs of a job made something by, in their order; whoever asks."""
    return uow.all(_of_job, job_id=job_id)


class Nodes:
    """Names nodes for one asker."""

    def __init__(self, uow: UnitOfWork, actor: Actor) -> None:
        self._uow = uow
        self._actor = actor
        self._hidden = 0

    def of(self, found: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], TraceNode]:
        """The nodes with these distances, in their order. An upload of what is hidden is left out."""
        sets, files, jobs = (
            {one for kind, one in found if kind in kinds}
            for kinds in (("fileset", "upload"), ("file", "upload"), ("job",))
        )
        set_rows = set_versions(self._uow, sets)
        file_rows = file_versions_by_id(self._uow, files)
        job_rows = {row.id: row for row in self._uow.all(_derivations, ids=sorted(jobs))} if jobs else {}
        gone = self._removed(sets - set_rows.keys() - file_rows.keys())
        gone_files = self._removed_files(files - file_rows.keys() - set_rows.keys())
        rows = (*set_rows.values(), *file_rows.values())
        people = user_names(self._uow, {row.created_by for row in rows})
        named: dict[tuple[str, str], TraceNode] = {}
        for (kind, one), depth in found.items():
            if kind == "job":
                node = self._job(job_rows[one], depth)
            elif kind == "file":
                row = file_rows.get(one)
                node = self._file(row, depth, people) if row else self._gone("file", one, gone_files.get(one), depth)
            elif kind == "upload":
                node_or_none = self._upload(set_rows.get(one), file_rows.get(one), depth, people)
                if node_or_none is None:
                    continue
                node = node_or_none
            elif one in set_rows:
                node = self._set(set_rows[one], depth, people)
            else:
                node = self._gone("fileset", one, gone.get(one), depth)
            named[kind, one] = node
        return named

    def _removed(self, ids: Iterable[str]) -> dict[str, Row]:
        """What versions that are gone were called."""
        wanted = sorted(ids)
        if not wanted:
            return {}
        return {row.set_version_id: row for names in _recorded for row in self._uow.all(names, ids=wanted)}

    def _removed_files(self, ids: Iterable[str]) -> dict[str, Row]:
        """The same of files that were the code of runs."""
        wanted = sorted(ids)
        return {row.file_version_id: row for row in self._uow.all(_codes, ids=wanted)} if wanted else {}

    def _set(self, row: Row, depth: int, people: dict[str, str]) -> TraceNode:
        if not self._sees("fileset:get", row.account_id, row.name):
            return self._unseen("fileset", depth)
        return TraceNode(
            id=row.id,
            kind="fileset",
            depth=depth,
            name=f"{row.name}:{row.version}",
            version=row.version,
            account=self._account(row.account_id),
            by=people.get(row.created_by, ""),
            at=to_rfc3339(row.created_at),
            files=row.files,
            size=row.size,
        )

    def _gone(self, kind: Literal["fileset", "file"], one: str, row: Row | None, depth: int) -> TraceNode:
        """A set or a file that was removed, by the name that was written down."""
        name = "" if row is None else row.path if kind == "file" else row.name
        if row is None or not self._sees(f"{kind}:get", row.account_id, name):
            return self._unseen(kind, depth)
        return TraceNode(
            id=one,
            kind=kind,
            depth=depth,
            name=f"{name}:{row.version}",
            version=row.version,
            account=self._account(row.account_id),
            removed=True,
        )

    def _file(self, row: Row, depth: int, people: dict[str, str]) -> TraceNode:
        if not self._sees("file:get", row.account_id, row.path):
            return self._unseen("file", depth)
        return TraceNode(
            id=row.id,
            kind="file",
            depth=depth,
            name=f"{row.path}:{row.version}",
            version=row.version,
            account=self._account(row.account_id),
            by=people.get(row.created_by, ""),
            at=to_rfc3339(row.created_at),
            size=row.size,
        )

    def _upload(self, of_set: Row | None, of_file: Row | None, depth: int, people: dict[str, str]) -> TraceNode | None:
        row = of_set if of_set is not None else of_file
        if row is None:
            return None
        seen = (
            self._sees("fileset:get", row.account_id, row.name)
            if of_set is not None
            else self._sees("file:get", row.account_id, row.path)
        )
        if not seen:
            return None
        name = people.get(row.created_by, "")
        at = to_rfc3339(row.created_at)
        return TraceNode(id=f"upload-{row.id}", kind="upload", depth=depth, name=name, by=name, at=at)

    def _job(self, row: Row, depth: int) -> TraceNode:
        if not self._sees("job:get", row.account_id, row.job_id):
            return self._unseen("job", depth)
        facts: dict[str, Any] = msgspec.json.decode(row.facts)
        number, name = facts.get("number"), facts.get("name")
        return TraceNode(
            id=row.id,
            kind="job",
            depth=depth,
            name=str(name or (f"#{number}" if number is not None else row.job_id)),
            account=self._account(row.account_id),
            at=to_rfc3339(row.made_at),
            job_id=row.job_id,
            run=row.run_index,
            facts=facts,
        )

    def _unseen(self, kind: Any, depth: int) -> TraceNode:
        self._hidden += 1
        return TraceNode(id=f"hidden-{self._hidden}", kind=kind, depth=depth, hidden=True)

    def _sees(self, action: str, account_id: str, resource_id: str) -> bool:
        return may_see(self._uow, self._actor, action, account_id, resource_id)

    def _account(self, account_id: str) -> str:
        return get_account(self._uow, account_id).full_name
