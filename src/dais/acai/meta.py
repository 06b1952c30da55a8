"""Metadata of files, file sets and jobs, and queries."""

from __future__ import annotations

import datetime
from typing import Any, Self

from dais.acai.credentials import client
from dais.acai.errors import AcaiError
from dais.wire import meta as wire

_KINDS = ("file", "fileset", "job")


class Condition:
    """What an entity must meet: `Condition("model").value("cnn")`, `Condition("accuracy").max()`."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._made: dict[str, Any] | None = None
        self._pattern = False

    def value(self, val: Any) -> Self:
        """The value is this; 0, "" and False are values, too."""
        return self._set(op="=", value=val)

    def max(self) -> Self:
        """The largest value there is."""
        return self._set(op="max")

    def min(self) -> Self:
        """The smallest value there is."""
        return self._set(op="min")

    def range(self, start: Any, end: Any) -> Self:
        """From `start` (exclusive) to `end` (inclusive)."""
        return self._set(op="range", start=start, end=end)

    def re(self) -> Self:
        """The value is a regular expression; for a value that is a text."""
        self._pattern = True
        return self

    def to_wire(self) -> wire.Condition:
        """The condition as the API takes it. Raises AcaiError for one that says nothing."""
        if self._made is None:
            raise AcaiError(f"the condition on {self.key!r} says nothing; add .value(…), .max(), .min() or .range(…)")
        made = dict(self._made)
        if made["op"] == "=" and isinstance(made["value"], str):
            if self.key == "tags":
                return wire.Condition(op="tag", value=made["value"])
            if self._pattern:
                made["op"] = "~"
        return wire.Condition(key=self.key, **made)

    def _set(self, **made: Any) -> Self:
        self._made = made
        return self


class Meta:
    """Tags and key-values. What is named without a version is the latest one."""

    @staticmethod
    def update_file_meta(
        file_path: str, tags: list[str] | None = None, kv_pairs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Add tags and set key-values of a file; others stay."""
        return _update("file", file_path, tags, kv_pairs)

    @staticmethod
    def update_file_set_meta(
        file_set: str, tags: list[str] | None = None, kv_pairs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The same of a file set."""
        return _update("fileset", file_set.removeprefix("@"), tags, kv_pairs)

    @staticmethod
    def update_job_meta(
        job_id: int, tags: list[str] | None = None, kv_pairs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The same of a job."""
        return _update("job", str(job_id), tags, kv_pairs)

    @staticmethod
    def find_file(*conditions: Condition) -> dict[str, Any]:
        """The files that meet all conditions."""
        return Meta.query_meta("file", *conditions)

    @staticmethod
    def find_job(*conditions: Condition) -> dict[str, Any]:
        """The jobs that meet all conditions."""
        return Meta.query_meta("job", *conditions)

    @staticmethod
    def find_file_set(*conditions: Condition) -> dict[str, Any]:
        """The file sets that meet all conditions."""
        return Meta.query_meta("fileset", *conditions)

    @staticmethod
    def query_meta(entity_type: str, *conditions: Condition) -> dict[str, Any]:
        """`{"data": [{…}, …], "status": "success"}` of what meets all conditions."""
        kind = entity_type.lower()
        if kind not in _KINDS:
            raise AcaiError(f"entity_type is one of {', '.join(_KINDS)}, not {entity_type!r}")
        found = client().find(kind, *[one.to_wire() for one in conditions])
        return {"data": [_shown(one) for one in found], "status": "success"}

    @staticmethod
    def get_file_meta(*file_list: str) -> dict[str, Any]:
        """All that is known of files; directories are ignored."""
        from dais.acai.file import File

        resolved = [File.resolve_vague_path(path) for path in file_list]
        refs = [one["id"] for one in resolved if not one["is_dir"]]
        return _get("file", refs)

    @staticmethod
    def get_file_set_meta(*file_sets: str) -> dict[str, Any]:
        """All that is known of file sets."""
        return _get("fileset", [name.removeprefix("@") for name in file_sets])

    @staticmethod
    def get_job_meta(*job_ids: int) -> dict[str, Any]:
        """All that is known of jobs."""
        return _get("job", [str(number) for number in job_ids])

    @staticmethod
    def del_file_meta(file_path: str, tags: list[str] | None = None, keys: list[str] | None = None) -> None:
        """Remove tags and keys of a file; what is not there is no error."""
        client().meta.rm("file", file_path, tags=tags or (), keys=keys or ())

    @staticmethod
    def del_file_set_meta(file_set: str, tags: list[str] | None = None, keys: list[str] | None = None) -> None:
        """The same of a file set."""
        client().meta.rm("fileset", file_set.removeprefix("@"), tags=tags or (), keys=keys or ())

    @staticmethod
    def del_job_meta(job_id: int, tags: list[str] | None = None, keys: list[str] | None = None) -> None:
        """The same of a job."""
        client().meta.rm("job", str(job_id), tags=tags or (), keys=keys or ())


def _update(kind: str, ref: str, tags: list[str] | None, pairs: dict[str, Any] | None) -> dict[str, Any]:
    values = dict(pairs or {})
    more = values.pop("tags", None) or []
    client().meta.set(kind, ref, values, tags=[*(tags or ()), *more])
    return {"status": "success"}


def _get(kind: str, refs: list[str]) -> dict[str, Any]:
    found = client().meta.get_many(kind, refs) if refs else []
    return {"data": [_shown(one) for one in found], "status": "success"}


def _shown(one: wire.Meta) -> dict[str, Any]:
    known = {key: _plain(value) for key, value in {**one.system, **one.values}.items()}
    return {"__type__": one.kind, **known, "tags": list(one.tags)}


def _plain(value: Any) -> Any:
    """Instants are seconds since the epoch."""
    if isinstance(value, dict) and set(value) == {"instant"}:
        return datetime.datetime.fromisoformat(value["instant"]).timestamp()
    return value
