"""One spec, byte for byte, on every engine that can be attached; and attaching as an administrator does it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import apptainer
from tests.support.containers import IMAGE, Daemons
from tests.support.installation import Installation, installation
from tests.support.needs import UNPRIVILEGED
from tests.support.slurm import Cluster

pytestmark = pytest.mark.slow

SPEC = b"""\
name: everywhere
command:
  - sh
  - -c
  - |
    echo "$GREETING from $(pwd)"
    cat /mnt/shared/question
    echo forty-two > /mnt/shared/answer-$DAIS_GROUP
    echo "told on stderr" >&2
    exit 3
environment:
  GREETING: hello
resources:
  cpu: 1
  mem: 128Mi
data:
  - shared:/mnt/shared:rw
max_run_time: 2m
"""

COUNT = """\
mkdir -p counts/deep
wc -c < corpus/b/a.txt > counts/deep/size
wc -c < /inputs/corpus/b/a.txt >> counts/deep/size
touch corpus/b/more 2>/dev/null || echo read-only
touch /inputs/more 2>/dev/null || echo read-only
"""


def runs_it(own: Installation, group: str, directory: Path) -> None:
    """Submit the spec to a group, and see that it did there what it does everywhere."""
    file = directory / "spec.yaml"
    file.write_bytes(SPEC)
    made = own.dais("job", "submit", "-f", str(file), "--group", group, "--json")
    assert made.returncode == 0, made.stderr.decode()
    job = own.wait(json.loads(made.stdout)["id"])
    printed = own.output(job.id).decode()
    assert (job.state, job.reason, job.exit_code) == ("FAILED", "exit-code", 3), (job.detail, printed)
    assert sorted(printed.splitlines()) == ["hello from /home/work", "told on stderr", "what is it?"]
    assert own.get(own.shared, f"answer-{group}") == b"forty-two\n"  # type: ignore[attr-defined]
    moves_data(own, group, directory / f"data of {group}")


def moves_data(own: Installation, group: str, directory: Path) -> None:
    """A job of the group reads a file set, runs a zip, and makes a set of what it writes."""
    directory.mkdir(exist_ok=True)
    with zipfile.ZipFile(directory / "code.zip", "w") as archive:
        archive.writestr("lib/count.sh", COUNT)
    (directory / "a.txt").write_bytes(b"question")
    client = own.client()
    client.files.upload([(directory / "code.zip", "/code.zip"), (directory / "a.txt", "/corpus/b/a.txt")])
    client.filesets.create("corpus", ["/corpus/b/a.txt"])
    spec = {"inputs": ["corpus", "corpus=/inputs"], "code": "/code.zip", "output": "counts", "max_run_time": "2m"}
    job = own.run("sh", "lib/count.sh", group=group, mem="128Mi", **spec)
    assert job.state == "SUCCEEDED", (job.detail, own.output(job.id).decode())
    (made,) = job.outputs
    assert made.fileset == f"job_{job.number}_output:1"
    there = directory / f"made by {job.number}"
    there.mkdir()
    client.filesets.download(made.fileset, there)
    assert (there / "counts/deep/size").read_text().split() == ["8", "8"]
    assert own.output(job.id) == b"read-only\nread-only\n"


def starts_from_an_image(own: Installation, slurm: Cluster) -> None:
    """Images of the cluster, by a stand-in for Apptainer."""
    program = slurm.place / "apptainer-of-one-spec"
    program.write_bytes(Path(apptainer.__file__).read_bytes())
    program.chmod(0o755)
    image = program.with_suffix(".sif")
    image.write_text("an image\n")
    missing = own.dais("image", "add", "early", str(image), "--group", "cluster")
    assert b"need Apptainer on the nodes" in missing.stderr, missing.stderr
    options = ("-o", f"conf={slurm.conf}", "-o", "interval=0.5", "-o", "settle=1", "-o", f"apptainer={program}")
    done = own.dais("attach", "slurm", "--name", "images", *options, "--json")
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    for name, path in (("file", str(image)), ("named", "docker://debian@sha256:" + "0" * 64)):
        made = own.dais("image", "add", name, path, "--group", "images")
        assert made.returncode == 0, made.stderr.decode()
    job = own.run("sh", "-c", "cat /etc/image; pwd; echo more > file; cat file", group="images", image="file")
    assert (job.state, own.output(job.id)) == ("SUCCEEDED", b"an image\n/home/work\nmore\n"), job.detail
    assert own.dais("image", "rm", "file", "--group", "images").returncode == 0
    assert own.dais("detach", "images").returncode == 0


@pytest.fixture
def with_folder() -> Iterator[Installation]:
    """An installation with the folder that the spec mounts; as root its server is a user whom Slurm's nodes know."""
    with installation(settings={"DAIS_LOCAL_DATA_UID": str(UNPRIVILEGED)}) as own:
        own.shared = own.folder("shared")  # type: ignore[attr-defined]
        own.put(own.shared, "question", b"what is it?\n")  # type: ignore[attr-defined]
        yield own


def test_local(with_folder: Installation, tmp_path: Path) -> None:
    runs_it(with_folder, "default", tmp_path)


@pytest.mark.parametrize("kind", ["docker", "podman"])
def test_containers(with_folder: Installation, daemons: Daemons, kind: str, tmp_path: Path) -> None:
    own = with_folder
    missing = own.dais("attach", kind, "--socket", str(tmp_path / "nothing"), "--check")
    assert missing.returncode == 1, missing.stdout.decode() + missing.stderr.decode()
    assert str(tmp_path / "nothing") in missing.stdout.decode()
    daemon = daemons.get(kind)
    for path in (daemon.directory, daemon.socket):  # as if the server's user were in the group of the socket
        path.chmod(0o777)
    done = own.dais("attach", kind, "--socket", str(daemon.socket), "--default-image", IMAGE, "--json")
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    runs_it(own, kind, tmp_path)
    nodes = json.loads(own.dais("node", "ls", "--json").stdout)
    assert len({node["name"] for node in nodes}) == 1, "both groups have this machine"
    assert {node["group"] for node in nodes} == {"default", kind}
    assert own.dais("detach", kind).returncode == 0


def test_slurm(with_folder: Installation, slurm: Cluster, tmp_path: Path) -> None:
    own = with_folder
    bad = own.dais("attach", "slurm", "--partition", "mian", "-o", f"conf={slurm.conf}", "--check")
    assert bad.returncode == 1
    assert "did you mean 'main'?" in bad.stdout.decode()
    options = ("-o", f"conf={slurm.conf}", "-o", "interval=0.5", "-o", "settle=1")
    done = own.dais("attach", "slurm", "--name", "cluster", *options, "--json")
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    runs_it(own, "cluster", tmp_path)
    own.stop()
    own.start()
    runs_it(own, "cluster", tmp_path)
    starts_from_an_image(own, slurm)
    rows = own.dais("group", "ls", "--fields", "name,engine,state", "-H").stdout.decode().split("\n")
    assert [row.split() for row in rows if row] == [["cluster", "slurm", "UP"], ["default", "local", "UP"]]
    found = {one["name"]: one for one in json.loads(own.dais("doctor", "--json").stdout)["findings"]}
    assert found["group-cluster"]["state"] == "fine", found["group-cluster"]
    gone = own.dais("detach", "cluster")
    assert gone.returncode == 0, gone.stderr.decode()
