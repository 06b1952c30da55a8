"""One server process, from its checks to its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import uvloop

import dais
from dais.api.bulk import listening
from dais.api.server import Server, is_loopback, listen, url_of
from dais.api.settings import ServerSettings
from dais.app.access import give_access
from dais.app.build import App, build, load_settings
from dais.app.schema import ensure_schema
from dais.app.service import ServiceManager
from dais.app.standing import ServerLock, Standing
from dais.engines.contract import LaunchRefused
from dais.kit import outbox
from dais.kit.clock import SystemClock
from dais.kit.data_directory import prepare, refuse_unfinished_restore, unwritable
from dais.kit.database import Database, open_database
from dais.kit.errors import Invalid, Unavailable
from dais.kit.ids import go_on_after
from dais.kit.logging import reopen_logs, set_up_logging
from dais.sdk.installation import LOG_FILE, SERVER_FILE, ServerInfo, read_info

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that tell a server to stop."""

log = logging.getLogger(__name__)

YOUNG_OBJECTS = 2_000
"""After how many new objects garbage is looked for: as many as 64 requests under way have, and some more."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `dais up` was told. None means what the settings say; `terminal`: warnings go to stderr, too.

    `new_token`: an administrator's token is made again, for who has lost it. `standing`: as whom it runs.
    """

    data_dir: Path
    host: str | None = None
    port: int | None = None
    insecure: bool = False
    config: Path | None = None
    terminal: bool = True
    new_token: bool = False
    standing: Standing = field(default_factory=Standing)


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What is told once the server answers. `notes` tell where the token is, `warnings` what this machine lacks."""

    server: ServerInfo
    log: str
    notes: list[str] = []
    warnings: list[str] = []


def check(options: Options) -> dict[str, Any]:
    """The settings, if they and the options can be acted by at all. Raises DaisError before anything is done."""
    loaded = load_settings(options.data_dir, options.config, options.standing.configuration)
    server: ServerSettings = loaded["server"]
    host = options.host if options.host is not None else server.host
    if not is_loopback(host) and not options.insecure:
        raise Invalid(
            f"listening on {host} would send tokens over the network in the clear, for Dais does not speak TLS yet; "
            "listen on loopback behind a proxy that does, or say --insecure",
            code="insecure-address",
        )
    return loaded


def serve(options: Options, on_ready: Callable[[Ready], None]) -> None:
    """Run a server on a data directory until it is told to stop (SIGTERM, SIGINT, SIGHUP). Jobs go on.

    From then on this process heeds these signals no more: it is to end, and with the exit code that it has.
    Raises DaisError, with one sentence that says what is wrong and what to do, before anything is half done.
    """
    data_dir = options.data_dir
    standing = options.standing
    manager = ServiceManager()
    loaded = check(options)
    server: ServerSettings = loaded["server"]
    host = options.host if options.host is not None else server.host
    os.umask(0o022)  # what is staged for jobs must be readable by their user, whatever the operator's umask is
    prepare(data_dir, shared=standing.apart)
    with ExitStack() as held:
        held.enter_context(standing.lock or ServerLock(data_dir))
        refuse_unfinished_restore(data_dir)
        sock = listen(host, options.port if options.port is not None else server.port)
        held.callback(sock.close)
        _open_log(data_dir, server.log_level, options.terminal)
        db = _open_database(loaded["database"].url, data_dir)
        held.callback(db.close)
        info = ServerInfo(
            pid=os.getpid(),
            url=url_of(sock),
            version=dais.__version__,
            data_dir=str(data_dir),
            database=db.dialect,
        )
        notes = give_access(db, info.url, data_dir, standing.profiles, new_token=options.new_token)
        standing.profiles.done()
        app = build(data_dir, loaded, db, standing)
        app.services.blobs.check()
        app.services.url = server.public_url.rstrip("/") or info.url
        app.notifier.base_url = app.notifier.base_url or app.services.url
        if app.proxy.ports is not None:
            app.proxy.ports.host = host
        held.enter_context(listening(app.services, host, loaded["bulk"]))
        if problem := app.ssh.listen(host):
            log.warning("the SSH gateway is reached through the API alone: %s", problem)

        def ready() -> None:
            _write_info(data_dir, info)
            log.info("ready", extra={"pid": info.pid, "url": info.url, "version": info.version})
            manager.ready(f"at {info.url}")
            _settle()
            on_ready(Ready(server=info, log=str(data_dir / LOG_FILE), notes=notes, warnings=app.warnings()))

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            uvicorn = Server(app.asgi, stop_seconds=server.stop_seconds, on_ready=ready, takers=app.takers)
            runner.run(_run(app, sock, uvicorn, info, manager))


async def _run(app: App, sock: socket.socket, server: Server, info: ServerInfo, manager: ServiceManager) -> None:
    stopping = app.services.stopping
    server_file = Path(info.data_dir) / SERVER_FILE

    def stop() -> None:
        if stopping.is_set():  # told twice: do not wait for requests under way
            server.force_exit = True
        stopping.set()
        app.services.compute.code.let_go()
        manager.stopping()

    # Not the loop's own handlers: closing it would give the signals back what they do to others, which is to kill.
    loop = asyncio.get_running_loop()
    for number in ENDING:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    signal.signal(signal.SIGUSR1, lambda *_: loop.call_soon_threadsafe(reopen_logs))
    alive = asyncio.create_task(manager.keep_alive(), name="watchdog")
    try:
        try:
            await app.start()
        except OSError as error:
            raise Unavailable(
                f"the node supervisor of this machine does not work: {error}", code="no-engine"
            ) from error
        except LaunchRefused as error:
            raise Unavailable(f"jobs could not run on this machine: {error}", code="no-engine") from error
        await server.run_until(sock, stopping)
    finally:
        await app.stop()
        alive.cancel()
        if read_info(server_file.parent) == info:
            server_file.unlink(missing_ok=True)
        log.info("stopped", extra={"pid": info.pid})
        for number in (*ENDING, signal.SIGUSR1):  # told again: it is as good as gone
            signal.signal(number, signal.SIG_IGN)


def _settle() -> None:
    """Look for garbage from now on, but never among what the start has made: that stays, and is most of it all."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    gc.enable()


def _open_log(data_dir: Path, level: str, terminal: bool) -> None:
    try:
        set_up_logging(data_dir / LOG_FILE, level=getattr(logging, level.upper()), terminal=terminal)
    except OSError as error:
        raise unwritable(data_dir, error) from error


def _open_database(url: str, data_dir: Path) -> Database:
    url = url or f"sqlite:///{data_dir / 'dais.db'}"
    ensure_schema(url, data_dir / "backups")
    db = open_database(url, SystemClock())
    newest = db.read_sync(outbox.newest_id)
    if newest is not None:
        go_on_after(newest)
    return db


def _write_info(data_dir: Path, info: ServerInfo) -> None:
    fresh = data_dir / f"{SERVER_FILE}.new"
    try:
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(info)) + b"\n")
        fresh.chmod(0o600)
        fresh.replace(data_dir / SERVER_FILE)
    except OSError as error:
        raise unwritable(data_dir, error) from error
