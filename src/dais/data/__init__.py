"""Folders, the blob store, and the sources of jobs: what is kept, and what moves in and out."""

from dais.data.archives import archive, archive_source, check_archivable
from dais.data.blobs import BlobStore
from dais.data.commands import create_folder, expire_staged, publish_folder, remove_folder
from dais.data.contents import OpenContent, Readable, open_content, pack_contents
from dais.data.copying import copy_folder
from dais.data.directories import Listing, find_entry, list_directory, make_directory, move_entry
from dais.data.folder_store import FolderStore
from dais.data.gathering import Found, look_through, take, words_of
from dais.data.hashing import check_digest
from dais.data.housekeeping import keep_tidy, tidy
from dais.data.lake.contents import check_contents, store_contents
from dais.data.lake.facts import FILE_ROWS, FILE_SET_ROWS, FOLDER_ROWS
from dais.data.lake.files import commit_files, remove_file, same_files
from dais.data.lake.graph import (
    all_set_versions,
    file_versions_by_id,
    set_children,
    set_parents,
    set_versions,
    sets_holding,
)
from dais.data.lake.needed import lake_digests, versions_with
from dais.data.lake.pins import FixedSet, fix_file_set, make_output_set, require_output, set_files
from dais.data.lake.reading import file_by_id, get_file, get_files, list_directory_files, list_file_versions
from dais.data.lake.sealing import FixedFolder, check_out, fix_folder, require_seal, seal_folder, take_folder
from dais.data.lake.sessions import (
    Session,
    abort_session,
    begin_session,
    commit_session,
    end_session,
    note_content,
    poll_session,
    session_file,
    session_state,
)
from dais.data.lake.set_reading import (
    compare_file_sets,
    get_file_set,
    list_file_set_files,
    list_file_set_versions,
    list_file_sets,
)
from dais.data.lake.sets import create_file_set, remove_file_set
from dais.data.lake.trees import TreeWriter
from dais.data.lake.types import CommittedFile, Directory, LakeFile, SetVersion
from dais.data.opening import open_blobs, require_store
from dais.data.queries import FOLDER_ORDERS, existing_folders, find_mount, folders_with_dots, get_folder, list_folders
from dais.data.reading import (
    MAX_PAGE,
    OpenFile,
    compare,
    fetch,
    list_entries,
    measure,
    open_file,
    remove_entries,
)
from dais.data.scrub import Scrubbed, scrub, unsound
from dais.data.settings import DataSettings
from dais.data.sources import materialize, pin_source, read_source, source_file, store_source
from dais.data.store_settings import StoreSettings
from dais.data.types import Entry, Folder, Measure, MountedFolder, Owner
from dais.data.unpacking import UnpackLimits, unpack
from dais.data.uploads import begin_upload, check_upload, drop_upload, upload_key, write_pack, write_piece

__all__ = [
    "Session",
    "abort_session",
    "begin_session",
    "commit_session",
    "end_session",
    "note_content",
    "poll_session",
    "session_file",
    "session_state",
    "FixedFolder",
    "check_out",
    "fix_folder",
    "require_seal",
    "seal_folder",
    "take_folder",
    "Found",
    "look_through",
    "take",
    "words_of",
    "FixedSet",
    "TreeWriter",
    "UnpackLimits",
    "fix_file_set",
    "make_output_set",
    "require_output",
    "set_files",
    "unpack",
    "FILE_ROWS",
    "FILE_SET_ROWS",
    "FOLDER_ROWS",
    "all_set_versions",
    "file_versions_by_id",
    "set_children",
    "set_parents",
    "set_versions",
    "sets_holding",
    "same_files",
    "Scrubbed",
    "scrub",
    "unsound",
    "versions_with",
    "OpenContent",
    "Readable",
    "open_blobs",
    "require_store",
    "StoreSettings",
    "open_content",
    "pack_contents",
    "check_contents",
    "store_contents",
    "CommittedFile",
    "Directory",
    "LakeFile",
    "SetVersion",
    "commit_files",
    "remove_file",
    "lake_digests",
    "file_by_id",
    "get_file",
    "get_files",
    "list_directory_files",
    "list_file_versions",
    "compare_file_sets",
    "get_file_set",
    "list_file_set_files",
    "list_file_set_versions",
    "list_file_sets",
    "create_file_set",
    "remove_file_set",
    "FOLDER_ORDERS",
    "MAX_PAGE",
    "BlobStore",
    "DataSettings",
    "Entry",
    "Folder",
    "FolderStore",
    "Listing",
    "Measure",
    "MountedFolder",
    "OpenFile",
    "Owner",
    "archive",
    "archive_source",
    "begin_upload",
    "check_archivable",
    "check_digest",
    "check_upload",
    "compare",
    "copy_folder",
    "create_folder",
    "drop_upload",
    "existing_folders",
    "expire_staged",
    "fetch",
    "find_entry",
    "find_mount",
    "folders_with_dots",
    "get_folder",
    "keep_tidy",
    "list_directory",
    "list_entries",
    "list_folders",
    "make_directory",
    "materialize",
    "measure",
    "move_entry",
    "open_file",
    "pin_source",
    "publish_folder",
    "read_source",
    "remove_entries",
    "remove_folder",
    "source_file",
    "store_source",
    "tidy",
    "upload_key",
    "write_pack",
    "write_piece",
]
