"""What every version of a file and of a file set tells of itself, for queries of the packages above."""

from __future__ import annotations

from sqlalchemy import String, cast, select

from dais.data.lake.reading import resource_column
from dais.data.lake.tables import file_set_versions, file_sets, file_versions, files
from dais.data.tables import folders

FILE_ROWS = (
    select(
        file_versions.c.id,
        files.c.account_id,
        resource_column.label("resource"),
        files.c.path.concat(":").concat(cast(file_versions.c.version, String)).label("ref"),
        files.c.path.label("full_path"),
        file_versions.c.version,
        file_versions.c.size,
        file_versions.c.digest,
        file_versions.c.created_by,
        file_versions.c.created_by.label("creator_id"),
        file_versions.c.created_at,
        file_versions.c.created_at.label("create_time"),
    )
    .select_from(files.join(file_versions, file_versions.c.file_id == files.c.id))
    .subquery("facts")
)
"""One row for each version of a file."""

FILE_SET_ROWS = (
    select(
        file_set_versions.c.id,
        file_sets.c.account_id,
        file_sets.c.name.label("resource"),
        file_sets.c.name.concat(":").concat(cast(file_set_versions.c.version, String)).label("ref"),
        file_sets.c.name.label("full_path"),
        file_set_versions.c.version,
        file_set_versions.c.files,
        file_set_versions.c.size,
        file_set_versions.c.digest,
        file_set_versions.c.made_by,
        file_set_versions.c.created_by,
        file_set_versions.c.created_by.label("creator_id"),
        file_set_versions.c.created_at,
        file_set_versions.c.created_at.label("create_time"),
    )
    .select_from(file_sets.join(file_set_versions, file_set_versions.c.set_id == file_sets.c.id))
    .subquery("facts")
)
"""One row for each version of a file set."""

FOLDER_ROWS = (
    select(
        folders.c.id,
        folders.c.account_id,
        folders.c.id.label("resource"),
        folders.c.name.label("ref"),
        folders.c.name.label("full_path"),
        folders.c.created_by,
        folders.c.created_by.label("creator_id"),
        folders.c.created_at,
        folders.c.created_at.label("create_time"),
    )
    .where(folders.c.deleted_at.is_(None), folders.c.published_at.is_not(None))
    .subquery("facts")
)
"""One row for each folder."""
