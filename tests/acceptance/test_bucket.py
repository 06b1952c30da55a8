"""An installation whose contents lie in a bucket: jobs, files, collection, doctor, backup, and a move into it."""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dais.data.bucket import KEY_FILE
from tests.acceptance.test_lake import examined, tree
from tests.support.buckets import KEY, SECRET, ObjectStore, object_store
from tests.support.installation import Installation, installation

pytestmark = pytest.mark.slow


COUNT = """
import pathlib, shutil
files = [path for path in pathlib.Path("corpus").rglob("*") if path.is_file()]
pathlib.Path("counts").mkdir()
pathlib.Path("counts/total").write_text(str(sum(path.stat().st_size for path in files)))
shutil.copy("corpus/large", "counts/copy")
"""


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectStore]:
    with object_store() as running:
        yield running


def use(objects: ObjectStore, data: Path) -> None:
    """Name the bucket and its key in a data directory."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = objects.settings()
    (data / "dais.toml").write_text(f'[store]\nbucket = "{settings.bucket}"\nendpoint = "{settings.endpoint}"\n')
    (data / KEY_FILE).write_text(f"{KEY}\n{SECRET}\n")
    (data / KEY_FILE).chmod(0o600)


@pytest.fixture
def own(objects: ObjectStore, tmp_path: Path) -> Iterator[Installation]:
    objects.empty()
    use(objects, tmp_path / "installation/data")
    with installation(tmp_path / "installation") as running:
        yield running


def test_everything_that_is_a_content_lies_in_the_bucket(
    own: Installation, objects: ObjectStore, tmp_path: Path
) -> None:
    top = tree(tmp_path / "tree", 20)
    (top / "large").write_bytes(random.randbytes(20 << 20))
    (top / "run.sh").write_text('echo "it ran with $(ls | wc -l) entries"; env\n')
    assert own.dais("file", "upload", str(top), "/all/", "--set", "all").returncode == 0
    ran = own.dais("run", "--source", str(top), "--", "sh", "run.sh")
    assert b"it ran with 4 entries" in ran.stdout, ran.stderr
    assert SECRET.encode() not in ran.stdout
    assert not (own.data / "blobs").exists()
    shutil.rmtree(own.data / "copies" / "00")
    (own.data / "copies" / "00").mkdir(mode=0o777)
    (own.data / "copies" / "00").chmod(0o777)
    found = examined(own)
    assert found["sound"] is True
    assert int(str(found["contents"])) > 25, "the small files, and the chunks of the large one"
    mount = tmp_path / "mount"
    mount.mkdir()
    assert own.dais("fileset", "download", "all:1", str(mount)).returncode == 0
    assert (mount / "all/large").read_bytes() == (top / "large").read_bytes()
    freed = json.loads(own.dais("gc", "--dry-run", "--data-dir", str(own.data), "--json").stdout)
    assert freed == {"freed": 0, "dry_run": True}
    backup = own.dais("backup", str(tmp_path / "backup"), "--data-dir", str(own.data))
    assert b"is not part of the backup" in backup.stdout + backup.stderr
    for log in own.data.rglob("*.log"):
        assert SECRET not in log.read_text("utf-8", "replace")


def test_jobs_read_run_and_make_contents_of_the_bucket(own: Installation, tmp_path: Path) -> None:
    client, large = own.client(), random.randbytes(20 << 20)
    for name, content in {"a.txt": b"one", "large": large, "code.zip": _zipped("main.py", COUNT)}.items():
        (tmp_path / name).write_bytes(content)
    client.files.upload([(tmp_path / name, f"/corpus/{name}") for name in ("a.txt", "large")])
    client.files.upload([(tmp_path / "code.zip", "/code/code.zip")])
    client.filesets.create("corpus", ["/corpus/"])
    for _ in range(2):  # the second time from the copies, and the tree that is there
        job = own.run("python3", "main.py", inputs=["corpus"], code="/code/code.zip", output="counts")
        assert job.state == "SUCCEEDED", (job.detail, own.output(job.id))
        assert client.files.get("/counts/copy").digest == client.files.get("/corpus/large").digest
    failed = own.run("sh", "-c", "mkdir kept; echo half > kept/a; exit 3", output="kept")
    assert failed.exit_code == 3
    kept = own.dais("job", "partial", failed.id, cwd=tmp_path)
    assert kept.returncode == 0, kept.stderr
    client.files.download([("/counts/total", str(tmp_path / "total"))])
    assert (tmp_path / "total").read_text() == str(len(large) + 3)
    trees = own.data / "sets"
    (linked,) = trees.glob("*/corpus/a.txt")
    assert linked.stat().st_nlink == 2, "it is a link to the copy"
    assert examined(own)["sound"] is True


def test_a_key_that_others_can_read_is_refused(objects: ObjectStore, tmp_path: Path) -> None:
    use(objects, tmp_path / "data")
    (tmp_path / "data" / KEY_FILE).chmod(0o644)
    answer = Installation(tmp_path, data=tmp_path / "data").dais("up", "--data-dir", str(tmp_path / "data"))
    assert answer.returncode != 0
    assert b"chmod 600" in answer.stderr
    assert SECRET.encode() not in answer.stderr


def _zipped(name: str, text: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(name, text)
    return sink.getvalue()


def test_what_is_gone_from_the_bucket_is_named(own: Installation, objects: ObjectStore, tmp_path: Path) -> None:
    client = own.client()
    (tmp_path / "small").write_bytes(b"small")
    client.files.upload([(tmp_path / "small", "/small")])
    digits = client.files.get("/small").digest.removeprefix("blake3:")
    objects.bucket(tmp_path / "look").delete([f"{digits[:2]}/{digits}"])
    found: Any = examined(own, code=1)["files"]
    (sufferer,) = found
    assert sufferer["problem"] == "missing"
    assert sufferer["file"].endswith(":/small:1")


def test_a_directory_is_moved_into_a_bucket(objects: ObjectStore, tmp_path: Path) -> None:
    objects.empty()
    top = tree(tmp_path / "tree", 20)
    (top / "large").write_bytes(random.randbytes(20 << 20))
    with installation(tmp_path / "installation") as running:
        assert running.dais("file", "upload", str(top), "/all/").returncode == 0
        running.stop()
        bucket = objects.bucket(tmp_path / "copying")
        for path in (running.data / "blobs").glob("??/*"):
            bucket.put(f"{path.parent.name}/{path.name}", path.read_bytes())
        shutil.rmtree(running.data / "blobs")
        use(objects, running.data)
        running.start()
        running.client().files.download_tree("/all/", tmp_path / "back")
        assert (tmp_path / "back/large").read_bytes() == (top / "large").read_bytes()
        assert examined(running)["sound"] is True


def test_a_bucket_that_is_not_there_is_told_at_the_start(objects: ObjectStore, tmp_path: Path) -> None:
    objects.empty()
    data = tmp_path / "data"
    use(objects, data)
    (data / "dais.toml").write_text(f'[store]\nbucket = "another-bucket"\nendpoint = "{objects.url}"\n')
    running = Installation(tmp_path, data=data)
    answer = running.dais("up", "--data-dir", str(data), "--port", "0")
    assert answer.returncode != 0
    assert b"'another-bucket'" in answer.stderr
    assert b"does not exist" in answer.stderr
