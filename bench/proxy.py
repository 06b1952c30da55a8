"""Apps of jobs through Dais, beside nginx's proxy_pass to the same program: requests, bytes, and what is added to one.

The app is nginx itself inside a job, which answers faster than either proxy asks. Beside it nginx outside, with
connections that are kept open to another nginx outside. wrk asks both, on one connection for latencies.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from bench.harness import Aim, Bench, Row, main, ratios
from bench.load import free_port, wait_port
from bench.peers.processes import process
from bench.server import dais

APP_PORT = 8080
BIG_MIB = 8
_begin = """
daemon off; error_log stderr; pid {directory}/pid; worker_processes 1; {user}
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000; default_type text/plain;
  client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
  uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
"""
APP = _begin + "server {{ listen 127.0.0.1:{port}; root {directory}; }} }}"
PROXY = (
    _begin
    + """upstream app {{ server 127.0.0.1:{app}; keepalive 64; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://app; proxy_http_version 1.1;
    proxy_set_header Connection ""; proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr; }} }} }}"""
)


def run(bench: Bench) -> None:
    if shutil.which("nginx") is None or shutil.which("wrk") is None:
        bench.absent("nginx and wrk", "install them: there is nothing to compare with")
        return
    with ExitStack() as held:
        place = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="dais-bench-")))
        place.chmod(0o755)
        server = held.enter_context(dais())
        job = server.submit("sh", "-c", in_a_job(), cpu=1, mem="256Mi")
        server.wait_running(job)
        url = server.client().jobs.address(job.id, APP_PORT).url
        host, port = urlsplit(url).netloc, urlsplit(url).port
        app = held.enter_context(outside(place / "app", APP))
        near = held.enter_context(outside(place / "proxy", PROXY, app=app))
        wait_port(near)
        ours = Side(f"http://127.0.0.1:{port}", host, server.token)
        theirs, bare = (
            Side(f"http://127.0.0.1:{near}", "app.local", ""),
            Side(f"http://127.0.0.1:{app}", "app.local", ""),
        )
        ours.until_it_answers()
        seconds = bench.pick(6, 1)
        measure(bench, ours, theirs, bare, seconds)


def measure(bench: Bench, ours: Side, theirs: Side, bare: Side, seconds: float) -> None:
    rates = bench.interleave(
        {name: side.rate("/small", seconds) for name, side in (("ours", ours), ("theirs", theirs))}
    )
    bytes_ = bench.interleave(
        {name: side.megabytes("/big", seconds) for name, side in (("ours", ours), ("theirs", theirs))}
    )
    times = bench.interleave(
        {name: side.latency("/small", seconds / 2) for name, side in (("ours", ours), ("bare", bare))}
    )
    added = [mine - one for mine, one in zip(times["ours"], times["bare"], strict=True)]
    peer = "nginx proxy_pass, 1 worker"
    bench.report(
        Row(figure="GET of 100 bytes from an app, 32 connections", ours=rates["ours"], unit="requests/s", peer=peer,
            theirs=rates["theirs"], ratios=ratios(rates["ours"], rates["theirs"]),
            aim=Aim(number="16", must=0.18, should=0.30)),
        Row(figure=f"GET of {BIG_MIB} MiB from an app, 4 connections", ours=bytes_["ours"], unit="MB/s", peer=peer,
            theirs=bytes_["theirs"], ratios=ratios(bytes_["ours"], bytes_["theirs"])),
        Row(figure="added latency of a GET, one connection, p50", ours=added, unit="ms", peer="the app itself, outside",
            theirs=times["bare"], aim=Aim(number="16", must=1.0, at_most=True)),
    )  # fmt: skip


class Side:
    """Where wrk asks, and as whom."""

    def __init__(self, base: str, host: str, token: str) -> None:
        self._base = base
        self._headers = ["-H", f"Host: {host}"] + (["-H", f"Authorization: Bearer {token}"] if token else [])

    def rate(self, path: str, seconds: float) -> Callable[[], float]:
        return lambda: self._wrk(path, seconds, 32)[0]

    def megabytes(self, path: str, seconds: float) -> Callable[[], float]:
        return lambda: self._wrk(path, seconds, 4)[0] * BIG_MIB * 1.048576

    def latency(self, path: str, seconds: float) -> Callable[[], float]:
        return lambda: self._wrk(path, seconds, 1)[1]

    def until_it_answers(self) -> None:
        for _ in range(200):
            time.sleep(0.05)
            words = ["curl", "--silent", "--fail", "--output", "/dev/null", *self._headers, f"{self._base}/small"]
            if subprocess.run([*words, "--retry", "0", "--max-time", "5"], check=False).returncode == 0:
                return
        raise RuntimeError("the app does not answer")

    def _wrk(self, path: str, seconds: float, connections: int) -> tuple[float, float]:
        """Requests a second, and the median latency in milliseconds. Raises RuntimeError when any failed."""
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(
                "function done(s, l, r) local e = s.errors; io.write(string.format('\\nSEEN %f %f %d\\n',"
                " s.requests / s.duration * 1e6, l:percentile(50) / 1e3,"
                " e.status + e.connect + e.read + e.write + e.timeout)) end"
            )
            script.flush()
            words = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", script.name]
            said = subprocess.run(
                [*words, *self._headers, f"{self._base}{path}"], capture_output=True, check=True, text=True
            ).stdout
        rate, median, bad = said.partition("SEEN ")[2].split()
        if int(bad):
            raise RuntimeError(f"{bad} requests failed: {said}")
        return float(rate), float(median)


def in_a_job() -> str:
    """A shell command that serves two files by nginx from where the job is."""
    conf = APP.format(directory="$PWD", port=APP_PORT, user="master_process off;")
    return (
        f"head -c 100 /dev/zero | tr '\\0' x > small; head -c {BIG_MIB << 20} /dev/zero > big; "
        f'cat > nginx.conf <<END\n{conf}\nEND\nexec nginx -p "$PWD" -c "$PWD/nginx.conf"'
    )


@contextmanager
def outside(directory: Path, conf: str, **values: int) -> Iterator[int]:
    """nginx in a directory of its own; its port."""
    directory.mkdir()
    directory.chmod(0o755)
    (directory / "small").write_bytes(b"x" * 100)
    (directory / "big").write_bytes(bytes(BIG_MIB << 20))
    port = free_port()
    path = directory / "nginx.conf"
    path.write_text(conf.format(directory=directory, port=port, user="user root;", **values))
    with process("nginx", "-p", str(directory), "-c", str(path)):
        wait_port(port)
        yield port


if __name__ == "__main__":
    main(run)
