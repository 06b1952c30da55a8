"""Moving files in and out of folders: a large one beside cp with a hash and nginx, many small ones beside git."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.harness import Aim, Bench, Row, main, ratios
from bench.load import free_port, request, wait_port
from bench.peers.processes import process
from bench.server import dais
from tests.support.installation import Installation

MIB = 1 << 20
_nginx_conf = """
daemon off; error_log /dev/null; pid {directory}/pid; worker_processes 1; {user}
events {{}}
http {{
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
  uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  server {{ listen 127.0.0.1:{port}; root {directory}; }}
}}
"""


def run(bench: Bench) -> None:
    large(bench)
    small(bench)


def large(bench: Bench) -> None:
    """One file, up and down."""
    size = bench.pick(2048, 64) * MIB
    with ExitStack() as held:
        directory = Path(held.enter_context(TemporaryDirectory(prefix="dais-bench-")))
        directory.chmod(0o755)
        server = held.enter_context(dais())
        source = directory / "large"
        write_random(source, size)
        Transfers(server).push(source, "kept")
        path = f"/v1/folders/{server.client().folders.get('kept').id}/file?path=large"
        target = directory / "got"
        sides: dict[str, Callable[[], float]] = {
            "push": lambda: size / MIB / Transfers(server).push_and_remove(source),
            "cp": lambda: size / MIB / copy_and_hash(source, directory / "copy"),
            "pull": lambda: size / MIB / Transfers(server).pull("kept", directory / "pulled"),
            "get": lambda: size / MIB / fetch(server.port, path, target, server.token),
        }
        if (port := held.enter_context(nginx(bench, directory))) is not None:
            sides["nginx"] = lambda: size / MIB / fetch(port, "/large", target)
        seen = bench.interleave(sides)
    what = f"{size // MIB:,} MiB"
    rows = [
        Row(
            figure=f"push of {what}: hashed, verified, synced and renamed",
            ours=seen["push"],
            unit="MiB/s",
            peer="cp, then SHA-256 by OpenSSL",
            theirs=seen["cp"],
            ratios=ratios(seen["push"], seen["cp"]),
            aim=Aim(number="9", must=0.6, should=0.8),
        )
    ]
    for side, figure in (("get", "download by a bare client, written to a file"), ("pull", "pull: verified, synced")):
        rows.append(
            Row(
                figure=f"{figure}, {what}",
                ours=seen[side],
                unit="MiB/s",
                peer="nginx with sendfile, same client" if "nginx" in seen else "",
                theirs=seen.get("nginx", ()),
                ratios=ratios(seen[side], seen["nginx"]) if "nginx" in seen else (),
                aim=Aim(number="10", must=0.8, should=0.95) if side == "get" and "nginx" in seen else None,
            )
        )
    bench.report(*rows)


def small(bench: Bench) -> None:
    """Many small files, up."""
    count = bench.pick(10_000, 500)
    with TemporaryDirectory(prefix="dais-bench-") as name, dais() as server:
        tree = Path(name) / "tree"
        for index in range(count):
            path = tree / f"{index // 100:03d}" / f"{index % 100:03d}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(random.randbytes(4096))
        sides: dict[str, Callable[[], float]] = {"push": lambda: count / Transfers(server).push_and_remove(tree)}
        if shutil.which("git"):
            sides["git"] = lambda: count / git_add(tree)
        else:
            bench.absent("git", "install git")
        seen = bench.interleave(sides)
    bench.report(
        Row(
            figure=f"push of {count:,} files of 4 KiB",
            ours=seen["push"],
            unit="files/s",
            peer="git add" if "git" in seen else "",
            theirs=seen.get("git", ()),
            ratios=ratios(seen["push"], seen["git"]) if "git" in seen else (),
            aim=Aim(number="11", must=0.7, should=1.2) if "git" in seen else None,
        )
    )


class Transfers:
    """Folders of an installation, by its SDK in this process; times in seconds."""

    def __init__(self, server: Installation) -> None:
        self._folders = server.client().folders

    def push(self, source: Path, folder: str) -> float:
        self._folders.create(folder)
        begun = time.monotonic()
        self._folders.push(folder, source)
        return time.monotonic() - begun

    def push_and_remove(self, source: Path) -> float:
        spent = self.push(source, "thrown-away")
        self._folders.remove("thrown-away")
        return spent

    def pull(self, folder: str, target: Path) -> float:
        begun = time.monotonic()
        self._folders.pull(folder, target)
        spent = time.monotonic() - begun
        shutil.rmtree(target)
        return spent


def write_random(path: Path, size: int) -> None:
    """A file that nothing compresses: random, in blocks that differ."""
    block = random.randbytes(MIB)
    with path.open("wb") as file:
        for index in range(size // MIB):
            file.write(index.to_bytes(8, "big") + block[8:])


def copy_and_hash(source: Path, target: Path) -> float:
    """What the machine's own tools take: `cp`, then SHA-256 by OpenSSL over the copy."""
    target.unlink(missing_ok=True)
    begun = time.monotonic()
    subprocess.run(["cp", str(source), str(target)], check=True)
    with target.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    spent = time.monotonic() - begun
    target.unlink()
    return spent


def fetch(port: int, path: str, target: Path, token: str = "") -> float:
    """Seconds that a bare client takes to receive a file and write it."""
    target.unlink(missing_ok=True)
    buffer = memoryview(bytearray(1 << 20))
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock, target.open("wb", buffering=0) as file:
        sock.sendall(request("GET", path, token=token))
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        first, _, rest = head.partition(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 200"), first
        lengths = [line.split(b":")[1] for line in first.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        left = int(lengths[0]) - len(rest)
        file.write(rest)
        while left > 0:
            size = sock.recv_into(buffer)
            assert size, "the connection was closed too early"
            file.write(buffer[:size])
            left -= size
    spent = time.monotonic() - begun
    target.unlink()
    return spent


def git_add(tree: Path) -> float:
    """Seconds that `git add` takes for the tree, in a repository of its own."""
    with TemporaryDirectory(prefix="dais-bench-") as name:
        environment = os.environ | {"GIT_DIR": f"{name}/git", "GIT_WORK_TREE": str(tree), "HOME": name}
        run = partial(subprocess.run, env=environment, check=True, capture_output=True, cwd=tree)
        run(["git", "init", "--quiet"])
        begun = time.monotonic()
        run(["git", "add", "."])
        return time.monotonic() - begun


@contextmanager
def nginx(bench: Bench, directory: Path) -> Iterator[int | None]:
    """nginx that serves a directory; its port, or None where it is not installed."""
    program = shutil.which("nginx")
    if program is None:
        bench.absent("nginx", "install nginx-light")
        yield None
        return
    port = free_port()
    conf = directory / "nginx.conf"
    conf.write_text(_nginx_conf.format(directory=directory, port=port, user="user root;" if os.geteuid() == 0 else ""))
    with process(program, "-c", str(conf), "-p", str(directory), cwd=directory):
        wait_port(port)
        yield port


if __name__ == "__main__":
    main(run)
