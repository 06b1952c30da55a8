"""Write the next step of the schema's history: what the tables say, less what the history says so far.

python scripts/new_migration.py "add quotas"
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import dais
from dais.kit.database.migrate import make_config, upgrade

for module in pkgutil.walk_packages(dais.__path__, "dais."):
    if module.name.endswith((".tables", ".work", ".leases")):
        importlib.import_module(module.name)

with tempfile.TemporaryDirectory() as directory:
    url = f"sqlite:///{Path(directory) / 'history.db'}"
    upgrade(url)
    with create_engine(url).connect() as connection:
        config = make_config(connection)
        number = len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1
        command.revision(config, message=sys.argv[1], autogenerate=True, rev_id=f"{number:04}")
