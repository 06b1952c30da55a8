"""Copies of an installation, made while it runs, and an installation made of a copy.

A backup directory holds `objects/` (contents by their BLAKE3 digest, each once) and `snapshots/<time>/`: a copy of the
database as one SQLite file, `files.jsonl` (every file with its digest), and, written last, `manifest.json`. So a
snapshot is whole or has no manifest, and making one never touches another.
"""

from dais.app.backup.make import Made, backup
from dais.app.backup.make import Options as BackupOptions
from dais.app.backup.manifest import Manifest, Snapshot, snapshots
from dais.app.backup.restore import Options as RestoreOptions
from dais.app.backup.restore import Restored, restore
from dais.app.backup.verify import Verified, verify

__all__ = [
    "BackupOptions",
    "Made",
    "Manifest",
    "RestoreOptions",
    "Restored",
    "Snapshot",
    "Verified",
    "backup",
    "restore",
    "snapshots",
    "verify",
]
