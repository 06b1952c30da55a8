"""`dais.acai` against a real installation: every example of ACAI's documentation, and what is wrong in the original."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dais.acai import (
    AcaiError,
    Condition,
    Credentials,
    File,
    FileSet,
    FilesList,
    Job,
    JobStatus,
    Meta,
    Project,
    has_logged_in,
    login,
    refresh,
)
from dais.acai.credentials import client
from dais.sdk.errors import Conflict, DaisError
from tests.support.installation import Installation, installation

COUNT = """
import pathlib, sys
text = "".join(path.read_text() for path in sorted(pathlib.Path("Shakespeare").glob("*")))
pathlib.Path(sys.argv[1], "count").write_text(str(len(text.split())))
print("counted")
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    with installation(settings={"DAIS_COMPUTE_STOP_GRACE": "1"}) as running:
        yield running


@pytest.fixture(scope="module")
def token(place: Installation) -> str:
    """The token of a user of a project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAIS_URL", place.url)
        made = Project.create_project("MyAwesomeProject", place.token, "boss")
        assert (made["project_id"], made["project_admin_name"]) == ("myawesomeproject", "boss")
        user = Project.create_user("MyAwesomeProject", made["admin_token"], "alice", login=False)
    assert isinstance(user["user_id"], int)
    return str(user["user_token"])


@pytest.fixture(autouse=True)
def here(place: Installation, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose user has logged in."""
    monkeypatch.setenv("DAIS_URL", place.url)
    monkeypatch.setenv("DAIS_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ACAI_PROJECT", raising=False)
    monkeypatch.setenv("ACAI_TOKEN", token)
    refresh()
    yield
    refresh()


def tree(top: Path) -> Path:
    """The tree of the documentation: b/c/1.txt, b/c/d/2.txt, b/3.txt."""
    for name in ("b/c/1.txt", "b/c/d/2.txt", "b/3.txt"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)
    return top / "b"


def test_convert_upload_make_a_set_and_download_it(tmp_path: Path) -> None:
    top = tree(tmp_path / "a")
    found = File.convert_to_file_mapping([f"{top}/3.txt", f"{top}/c/"], "/allen/")
    assert found.files_to_upload is found[0]
    assert sorted(remote for _, remote in found.files_to_upload) == ["/allen/1.txt", "/allen/3.txt", "/allen/d/2.txt"]
    assert found.files_ignored == []
    made = found.files_to_upload.upload().as_new_file_set("my_training_files")
    assert made == {"id": "my_training_files:1", "files": ["allen/1.txt:1", "allen/3.txt:1", "allen/d/2.txt:1"]}
    assert FileSet.list_file_set_content("my_training_files") == made
    assert FileSet.resolve_vague_name("@my_training_files") == {"id": "my_training_files:1"}
    into = tmp_path / "local_tmp"
    into.mkdir()
    FileSet.download_file_set("my_training_files:1", str(into))
    assert (into / "allen/d/2.txt").read_text() == "b/c/d/2.txt"
    (into / "allen/1.txt").chmod(0o600)
    (into / "allen/1.txt").write_text("other")
    with pytest.raises(DaisError):
        FileSet.download_file_set("my_training_files", str(into))
    FileSet.download_file_set("my_training_files", str(into), force=True)
    assert (into / "allen/1.txt").read_text() == "b/c/1.txt"


def test_mappings_that_cannot_be(tmp_path: Path) -> None:
    top = tree(tmp_path / "a")
    found = File.convert_to_file_mapping([f"{top}/none", f"{top}/3.txt"], "/x/", [])
    assert (found.files_to_upload, found.files_ignored) == ([(f"{top}/3.txt", "/x/3.txt")], [f"{top}/none"])
    left = File.convert_to_file_mapping([f"{top}/c"], "/x/", [f"{top}/c/d"])
    assert [remote for _, remote in left.files_to_upload] == ["/x/1.txt"]
    assert left.files_ignored == [f"{top}/c/d/2.txt"]
    with pytest.raises(AcaiError, match="list of paths"):
        File.convert_to_file_mapping("/a", "/x/")
    with pytest.raises(DaisError, match="no directory"):
        File.convert_to_file_mapping([f"{top}/c", f"{top}/3.txt"], "/x")


def test_files_and_their_versions(tmp_path: Path) -> None:
    local = tmp_path / "train.json"
    local.write_text("{}")
    results: list[tuple[str, str]] = []
    assert File.upload({str(local): "/my_data/train.json"}, results) == [(str(local), "/my_data/train.json:1")]
    assert results == [(str(local), "/my_data/train.json:1")]
    again = File.upload([(str(local), "/my_data/train.json"), (str(local), "/my_data/train.json")])
    assert [remote for _, remote in again] == ["/my_data/train.json:2", "/my_data/train.json:3"]
    assert isinstance(again, FilesList)
    assert File.list_dir("/my_data") == [{"path": "/my_data/train.json", "version": 3, "is_dir": False}]
    assert [one["version"] for one in File.list_file_versions("/my_data/train.json")] == [3, 2, 1]
    assert File.resolve_vague_path("/my_data/train.json") == {"id": "/my_data/train.json:3", "is_dir": False}
    assert File.resolve_vague_path("/my_data/")["is_dir"] is True
    into = tmp_path / "stuff"
    into.mkdir()
    File.download({"/my_data/train.json:1": f"{into}/"})
    assert (into / "train.json").read_text() == "{}"
    made = FileSet.create_file_set("first", ["/my_data/train.json:1"])
    mixed = FileSet.create_file_set("mixed", ["@first:1"])
    assert (made["id"], mixed["files"]) == ("first:1", ["my_data/train.json:1"])
    with pytest.raises(Conflict):
        FileSet.create_file_set("mixed", ["@first:1", "/my_data/train.json:2"])
    assert FileSet.list_file_set_versions("mixed") == ["mixed:1"]
    assert {"first:1", "mixed:1"} <= set(FileSet.list_file_sets())
    for name, entities in (("a:1", ["/x"]), ("a", "/x")):
        with pytest.raises(AcaiError):
            FileSet.create_file_set(name, entities)


def test_metadata_and_conditions(tmp_path: Path) -> None:
    local = tmp_path / "x"
    local.write_text("12345")
    File.upload([(str(local), f"/meta/{name}") for name in ("a", "b")])
    for name, accuracy in (("a", 0.5), ("b", 0.9)):
        FileSet.create_file_set(f"set-{name}", [f"/meta/{name}"])
        Meta.update_file_set_meta(f"set-{name}", kv_pairs={"model": "cnn", "accuracy": accuracy})
    best = Meta.find_file_set(Condition("model").value("cnn"), Condition("accuracy").max())
    assert [one["_id"] for one in best["data"]] == ["set-b:1"]
    assert best["status"] == "success"
    least = Meta.find_file_set(Condition("model").value("c.*").re(), Condition("accuracy").min())
    assert [one["_id"] for one in least["data"]] == ["set-a:1"]
    ranged = Meta.find_file_set(Condition("accuracy").range(0.5, 0.9))
    assert [one["_id"] for one in ranged["data"]] == ["set-b:1"]
    Meta.update_file_meta("/meta/a", tags=["hotpot"], kv_pairs={"zero": 0, "tags": ["cnn"]})
    (known,) = Meta.get_file_meta("/meta/a", "/meta/")["data"]
    assert (known["_id"], known["__size__"], known["__version__"], known["__type__"]) == ("/meta/a:1", 5, 1, "file")
    assert (sorted(known["tags"]), known["zero"]) == (["cnn", "hotpot"], 0)
    assert isinstance(known["__create_time__"], float)
    assert len(Meta.find_file(Condition("zero").value(0))["data"]) == 1, "a value of 0 is a value"
    assert len(Meta.find_file(Condition("tags").value("hotpot"))["data"]) == 1
    Meta.del_file_meta("/meta/a", ["hotpot"], ["zero"])
    (known,) = Meta.get_file_meta("/meta/a")["data"]
    assert (known["tags"], "zero" in known) == (["cnn"], False)
    with pytest.raises(AcaiError, match="says nothing"):
        Meta.find_file(Condition("zero"))
    with pytest.raises(AcaiError, match="entity_type"):
        Meta.query_meta("job2")


def attributes(**more: Any) -> dict[str, Any]:
    """The job of the documentation."""
    command = "mkdir -p ./my_output/ && (python3 wordcount.py ./my_output/)"
    return {
        "v_cpu": "0.2",
        "memory": "64Mi",
        "gpu": "0",
        "command": command,
        "container_image": "host",
        "input_file_set": "shakespeare.texts",
        "output_path": "./my_output/",
        "code": "/wordcount.zip",
        "description": "count some words from Shakespeare works",
        "name": "my_acai_job",
        **more,
    }


def test_a_job_from_its_attributes_to_its_output(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("wordcount.py", COUNT)
    (tmp_path / "code.zip").write_bytes(sink.getvalue())
    (tmp_path / "lear").write_text("Nothing will come of nothing")
    File.upload([(str(tmp_path / "code.zip"), "/wordcount.zip"), (str(tmp_path / "lear"), "/Shakespeare/lear")])
    FileSet.create_file_set("shakespeare.texts", ["/Shakespeare/lear"])
    job = Job().with_attributes(attributes()).register().run()
    assert job.wait(120) == JobStatus.FINISHED, job.get_log()
    assert job.output_file_set == f"job_{job.id}_output:1" == job.get_output_file_set()
    assert "counted" in job.get_log()["log"]
    FileSet.download_file_set(str(job.output_file_set), str(tmp_path))
    assert (tmp_path / "my_output/count").read_text() == "5"
    assert job.id is not None
    found = Job.find(job.id)
    assert (found.dict["description"], found.memory) == ("count some words from Shakespeare works", str(64 << 20))
    assert "my_acai_job" in repr(found)
    assert Job.check_job_status(job.id) == JobStatus.FINISHED
    assert Job.check_job_status(999_999) == JobStatus.UNKNOWN
    assert job.id in [one.id for one in Job.list_jobs()]
    Meta.update_job_meta(job.id, kv_pairs={"score": 1})
    assert len(Meta.find_job(Condition("score").value(1))["data"]) == 1
    slow = [Job.from_dict(attributes(command="sleep 600", name="twin")).run() for _ in range(2)]
    assert [str(one.name)[:4] for one in slow] == ["twin", "twin"]
    for one in slow:
        client().jobs.kill(str(one.id))
    assert [one.wait(120) for one in slow] == [JobStatus.KILLED] * 2
    failing = Job.from_dict(attributes(command="exit 3")).run()
    assert failing.wait(120) == JobStatus.FAILED


def test_resources_and_files_with_attributes(tmp_path: Path) -> None:
    job = Job().with_resources(vcpu="500m", gpu=0, mem="100Mi")
    assert (job.v_cpu, job.gpu, job.memory) == ("500m", 0, "100Mi")
    assert Job().with_resources(mem=1e9).memory == 1e9
    with pytest.raises(ValueError, match="lots"):
        Job().with_resources(mem="lots")
    (tmp_path / "job.json").write_text(json.dumps(attributes()))
    (tmp_path / "job.yaml").write_text("name: a\nmemory: 100Mi\nunknown: 1\n")
    assert Job.from_json(str(tmp_path / "job.json")).dict["memory"] == "64Mi"
    assert Job.from_yaml(str(tmp_path / "job.yaml")).memory == "100Mi"
    (tmp_path / "job.yaml").write_text("- 1\n")
    with pytest.raises(AcaiError, match="no mapping"):
        Job.from_yaml(str(tmp_path / "job.yaml"))
    with pytest.raises(AcaiError, match="name, command, container_image"):
        Job().run()
    assert JobStatus.from_str("CONTAINER_CRASHED") == JobStatus.from_str("ContainerCrashed")
    assert JobStatus.from_str("Container Crashed") == JobStatus.CONTAINER_CRASHED
    assert JobStatus.from_str("what") == JobStatus.UNKNOWN


def test_credentials(tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_logged_in({"token": token})
    assert not has_logged_in({"token": None})
    monkeypatch.delenv("ACAI_TOKEN")
    Credentials.configure("my.project", token)
    file = tmp_path / ".acai/credentials"
    assert file.read_text().startswith("[default]\nproject_name = my.project\n\n[my.project]\ntoken = ")
    assert file.stat().st_mode & 0o777 == 0o600
    found = Credentials.load()
    assert (found.project, found.token) == ("my.project", token)
    assert token not in repr(found)
    assert isinstance(FileSet.list_file_sets(), list), "the file's token is used"
    login("dais_acai_" + "0" * 43)
    assert os.environ["ACAI_TOKEN"].endswith("0" * 43)
    with pytest.raises((AcaiError, DaisError)):
        FileSet.list_file_sets()
    with pytest.raises(AcaiError, match="name of a project"):
        Credentials.configure("a]\n[b", token)
