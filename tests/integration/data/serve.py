"""A server with files, in a process of its own that tests may kill: `python -m tests.integration.data.serve DIR PORT`.

Prints its address and the administrator's token (the first time) when it answers.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from dais.api import Application, Authenticator, Services
from dais.api.bulk import listening
from dais.api.rest import all_routes
from dais.api.server import Server, listen, url_of
from dais.api.settings import BulkSettings
from dais.data import BlobStore, FolderStore
from dais.identity import bootstrap
from dais.kit.database import open_database
from dais.kit.vault import KEY_FILE, Vault
from tests.support.database import create_tables


async def main(data: Path, port: int) -> None:
    url = f"sqlite:///{data}/dais.db"
    if not (data / "dais.db").exists():
        create_tables(url)
    database = open_database(url)
    made = await database.write(bootstrap, "ann")
    services = Services(db=database, clock=database.clock, data_dir=data, authenticator=Authenticator(database))
    services.parts.blobs = BlobStore(data / "blobs")
    services.parts.folders = FolderStore(data / "folders")
    services.parts.vault = Vault(data / KEY_FILE)
    sock = listen("127.0.0.1", port)

    def ready() -> None:
        sys.stdout.write(f"{url_of(sock)} {made.token.secret if made else ''}\n")
        sys.stdout.flush()

    with listening(services, "127.0.0.1", BulkSettings()):
        server = Server(Application(all_routes(), services), stop_seconds=5, on_ready=ready)
        await server.run_until(sock, asyncio.Event())


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Path(sys.argv[1]), int(sys.argv[2])))
