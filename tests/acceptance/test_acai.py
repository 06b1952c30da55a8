"""What ACAI's client sends, against a real installation: from a project to the output of a job; and attacks."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from tests.support.acai import Remote, RemoteError, ended, project, zipped
from tests.support.installation import Installation, installation
from tests.support.supervisor import until

WORDS = """
import pathlib, sys
text = "".join(path.read_text() for path in sorted(pathlib.Path("shakespeare").glob("*.txt")))
(pathlib.Path(sys.argv[1]) / "count").write_text(str(len(text.split())))
print("counted")
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    """With an image that stands for those of ACAI, and addresses that expire soon enough."""
    settings = {"DAIS_COMPUTE_STOP_GRACE": "1", "DAIS_ACAI_FALLBACK_IMAGE": "host"}
    with installation(settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def mine(place: Installation) -> Remote:
    return project(place, "mine")


@pytest.fixture(scope="module")
def user(mine: Remote) -> Remote:
    """A user of the project."""
    made = replace(mine, token="").post(
        "credential", "create_user", project_id="mine", admin_token=mine.token, user_name="alice"
    )
    assert isinstance(made["user_id"], int)
    return replace(mine, token=made["user_token"])


def test_the_typical_workflow_from_a_project_to_an_output(user: Remote) -> None:
    words = {"/shakespeare/lear.txt": b"Nothing will come of nothing", "/shakespeare/void.txt": b""}
    ids = user.upload({**words, "/wordcount.zip": zipped(**{"wordcount.py": WORDS})})
    assert ids == ["shakespeare/lear.txt:1", "shakespeare/void.txt:1", "wordcount.zip:1"]
    for one in ids[:2]:
        known = user.post("meta", "get_meta", type="file", ids=[f"{one}:1"])["data"][0]
        assert (known["_id"], bool(known["__hash__"])) == (one, True)
    made = user.post("storage", "create_file_set", name="shakespeare.texts", files=ids[:2], hash="x")
    assert made == {"id": "shakespeare.texts:1", "files": ids[:2]}
    fixed = user.get("storage", "resolve_file_set", vague_name="shakespeare.texts")["id"]
    answer = user.post(
        "job_registry",
        "new_job",
        name="My ACAI job",
        input_file_set=fixed,
        output_path="./my_output/",
        code="/wordcount.zip",
        command="mkdir -p ./my_output/ && python3 wordcount.py ./my_output/",
        container_image="pytorch/pytorch",
        description="count some words",
        v_cpu="0.5",
        gpu="512Mi",
        memory="0",
        job_status=None,
    )
    job = answer["job"]
    assert (job["name"], job["gpu"], job["memory"], job["v_cpu"]) == ("My ACAI job", "0", "512Mi", "0.5")
    assert job["output_file_set"].startswith(f"job_{job['id']}_output")
    log = user.get
    assert ended(user, job["id"]) == "Finished", log("log_server", "get_job_log", job_id=job["id"])
    assert "counted" in log("log_server", "get_job_log", job_id=job["id"])["log"]
    (status,) = user.post("job_monitor", "job_status", ids=[job["id"]])
    assert status["output_file_set"] == f"job_{job['id']}_output:1"
    found = user.get("storage", "download_file_set", vague_name=status["output_file_set"])
    assert {one["path"]: user.fetch(one["url"]) for one in found["files"]} == {"/my_output/count": b"5"}
    assert user.get("job_registry", "job", job_id=job["id"])["description"] == "count some words"
    assert job["id"] in [one["id"] for one in user.get("job_registry", "jobs")]
    assert user.post("job_monitor", "job_status", ids=[999_999]) == []
    traced = user.get("provenance", "trace", id=status["output_file_set"])
    assert "shakespeare.texts:1" in [node.get("name") for node in traced["nodes"]]


def test_a_failing_job_says_so_and_has_no_output(user: Remote) -> None:
    user.upload({"/in.txt": b"1"})
    user.post("storage", "create_file_set", name="ins", files=["/in.txt"], hash="")
    job = user.post(
        "job_registry", "new_job", name="bad", input_file_set="ins", output_path="out", command="exit 3",
        container_image="x", description="", v_cpu="0.1", gpu="0", memory="64Mi",
    )["job"]  # fmt: skip
    assert ended(user, job["id"]) == "Failed"
    with pytest.raises(RemoteError, match=f"RequestFailedException: Entity job_{job['id']}_output:0 does not exist"):
        user.get("storage", "resolve_file_set", vague_name=f"job_{job['id']}_output:0")


def test_jobs_of_one_name_run_beside_each_other(user: Remote) -> None:
    twin = {"name": "twin", "output_path": "o", "command": "sleep 600", "container_image": "x", "description": ""}
    twin |= {"v_cpu": "0.1", "gpu": "0", "memory": "64Mi"}
    first, second = (user.post("job_registry", "new_job", **twin)["job"] for _ in range(2))
    assert (first["name"], second["name"]) == ("twin", "twin")
    assert first["id"] != second["id"]


def test_versions_directories_and_vague_paths(user: Remote) -> None:
    assert user.upload({"/v/a.txt": b"1"}) == ["v/a.txt:1"]
    assert user.upload({"/v/a.txt": b"1"}) == ["v/a.txt:2"], "a new version, also of the same content"
    assert user.upload({"/v/b/c.txt": b"2"}) == ["v/b/c.txt:1"]
    listed = user.get("storage", "list_directory", directory_path="/v")
    assert [(one["path"], one["version"], one["is_dir"], one["dir"]) for one in listed] == [
        ("/v/b/", -1, True, True),
        ("/v/a.txt", 2, False, False),
    ]
    assert [one["version"] for one in user.get("storage", "list_file_versions", path="/v/a.txt")] == [2, 1]
    vague = user.get("storage", "resolve_vague_path", vague_path="/v/a.txt")
    assert (vague["id"], vague["is_dir"]) == ("v/a.txt:2", False)
    assert user.get("storage", "resolve_vague_path", vague_path="/v")["is_dir"] is True
    assert user.post("storage", "change_status", path="/v/a.txt", location="archive") == {}
    for wanted, content in (("/v/a.txt:1", b"1"), ("v/b/c.txt", b"2"), ("v/b/c.txt:1:1", b"2")):
        assert user.fetch(user.get("storage", "download_file", path=wanted)["s3_url"]) == content
    many = user.post("storage", "download_files", paths=["/v/a.txt", "/v/b/c.txt"])["files"]
    assert [user.fetch(one["s3_url"]) for one in many] == [b"1", b"2"]
    user.post("storage", "create_file_set", name="one", files=["/v/a.txt:1"], hash="")
    both = user.post("storage", "create_file_set", name="both", files=["@one:1", "/v/b/c.txt"], hash="")
    assert both == {"id": "both:1", "files": ["v/a.txt:1", "v/b/c.txt:1"]}
    assert [one["id"] for one in user.get("storage", "list_file_set_versions", name="both")] == ["both:1"]
    assert "both:1" in user.get("storage", "list_file_sets")


def test_metadata_and_queries(user: Remote) -> None:
    user.upload({f"/m/{number}.txt": b"x" for number in range(3)})
    for number, accuracy in enumerate((0.5, 0.9, 0.7)):
        meta = {"model": "cnn", "accuracy": accuracy, "zero": 0, "tags": ["hotpot", "t"]}
        user.post("meta", "update_file_meta", id=f"/m/{number}.txt", meta=meta)

    def found(*conditions: Mapping[str, object]) -> list[str]:
        answer = user.post("meta", "query_meta", entity_type="file", conditions=list(conditions))
        return sorted(one["_id"] for one in answer["data"])

    model = {"key": "model", "type": "value", "value": "cnn"}
    assert found(model, {"key": "accuracy", "type": "max"}) == ["m/1.txt:1"]
    assert found(model, {"key": "accuracy", "type": "min"}) == ["m/0.txt:1"]
    assert found({"key": "accuracy", "type": "range", "value": [0.5, 0.7]}) == ["m/2.txt:1"]
    assert found({"key": "model", "type": "value", "value": "^c.n$", "re": True}) == [f"m/{n}.txt:1" for n in range(3)]
    assert len(found({"key": "zero", "type": "value"})) == 3, "the client leaves a value of 0 out"
    user.post("meta", "del_file_meta", id="/m/0.txt", keys=["model"], tags=["t"])
    (known,) = user.post("meta", "get_meta", type="file", ids=["m/0.txt:1"])["data"]
    assert (known["tags"], "model" in known, known["accuracy"]) == (["hotpot"], False, 0.5)
    assert (known["__size__"], known["__version__"], known["__type__"]) == (1, 1, "file")
    assert isinstance(known["__create_time__"], float)


def test_older_clients_poll_until_all_is_committed(user: Remote) -> None:
    started = user.post("storage", "start_file_upload_session", paths=["/old/a", "/old/b"])
    user.put(started["files"][0]["s3_url"], b"a")
    assert user.get("storage", "poll_file_upload_session", session_id=started["session_id"])["committed"] is False
    user.put(started["files"][1]["s3_url"], b"b")
    polled = user.get("storage", "poll_file_upload_session", session_id=started["session_id"])
    assert polled == {"committed": True, "uploaded_file_ids": ["old/a:1", "old/b:1"]}
    for _ in range(2):
        assert user.post("storage", "finish_file_upload_session", session_id=started["session_id"]) == polled


def test_what_is_not_finished_is_not_there(user: Remote) -> None:
    started = user.post("storage", "start_file_upload_session", paths=["/gone/a", "/gone/b"])
    url = started["files"][0]["s3_url"]
    user.put(url, b"a")
    with pytest.raises(RemoteError, match="has not been uploaded yet"):
        user.post("storage", "finish_file_upload_session", session_id=started["session_id"])
    with pytest.raises(RemoteError, match="does not exist"):
        user.get("storage", "download_file", path="/gone/a")
    user.post("storage", "abort_file_upload_session", session_id=started["session_id"])
    with pytest.raises(RemoteError, match="aborted"):
        user.put(url, b"a")
    with pytest.raises(RemoteError, match="aborted"):
        finish(user, started)
    with pytest.raises(RemoteError, match="does not exist"):
        user.get("storage", "list_directory", directory_path="/gone/")


def finish(remote: Remote, started: dict[str, object]) -> None:
    remote.post("storage", "finish_upload", session_id=started["session_id"], paths=started["file_ids"], sizes=[])


def test_bad_paths_and_sizes_are_refused(user: Remote) -> None:
    for path in ("/a/../b", "/a//b", "/a\nb", "/" + "x" * 5000, "/a:3", "/dir/", ""):
        with pytest.raises(RemoteError, match=r"^4"):
            user.post("storage", "start_file_upload_session", paths=[path])
    started = user.post("storage", "start_file_upload_session", paths=["/size"])
    user.put(started["files"][0]["s3_url"], b"four")
    with pytest.raises(RemoteError, match="5 bytes, and 4 have come"):
        user.post("storage", "finish_upload", session_id=started["session_id"], paths=started["file_ids"], sizes=[5])


def test_a_large_file_comes_and_goes(user: Remote) -> None:
    content = random.randbytes((5 << 20) + 7)
    user.upload({"/large": content})
    assert user.fetch(user.get("storage", "download_file", path="/large")["s3_url"]) == content


def test_one_project_cannot_reach_another(place: Installation, user: Remote, mine: Remote) -> None:
    user.upload({"/secret.txt": b"mine"})
    user.post("storage", "create_file_set", name="secrets", files=["/secret.txt"], hash="")
    started = user.post("storage", "start_file_upload_session", paths=["/theirs"])
    job = user.post(
        "job_registry", "new_job", name="own", command="true", container_image="x", output_path="o",
        v_cpu="0.1", gpu="0", memory="64Mi", description="",
    )["job"]["id"]  # fmt: skip
    other = project(place, "other")
    for service, call, query in (
        ("storage", "download_file", {"path": "/secret.txt"}),
        ("storage", "resolve_file_set", {"vague_name": "secrets"}),
        ("storage", "poll_file_upload_session", {"session_id": started["session_id"]}),
        ("job_registry", "job", {"job_id": job}),
        ("log_server", "get_job_log", {"job_id": job}),
    ):
        with pytest.raises(RemoteError, match=r"^40[134]"):
            other.get(service, call, **query)
    with pytest.raises(RemoteError, match=r"^40[134]"):
        finish(other, started)
    assert other.post("job_monitor", "job_status", ids=[job]) == []
    assert other.get("job_registry", "jobs") == []
    with pytest.raises(RemoteError, match=r"^403"):
        replace(other, token="").post(
            "credential", "create_user", project_id="mine", admin_token=other.token, user_name="mallory"
        )
    with pytest.raises(RemoteError, match=r"^403"):
        replace(user, token="").post(
            "credential", "create_user", project_id="mine", admin_token=user.token, user_name="mallory"
        )
    with pytest.raises(RemoteError, match=r"^403"):
        replace(mine, token="").post(
            "credential", "create_project", project_id="new", admin_token=mine.token, project_admin_name="x"
        )


def test_addresses_are_good_for_one_thing(user: Remote) -> None:
    user.upload({"/link.txt": b"text"})
    url = user.get("storage", "download_file", path="/link.txt")["s3_url"]
    started = user.post("storage", "start_file_upload_session", paths=["/to", "/too"])
    put = started["files"][0]["s3_url"]
    path = urlsplit(url).path
    text, _, code = path.partition(".")
    altered = f"{text[:-1]}{'A' if text[-1] != 'A' else 'B'}.{code}"
    for one in (altered, f"{text}.{code[:-2]}xx", f"{text}.", f"/storage/content/{code}", urlsplit(put).path):
        with pytest.raises(RemoteError, match=r"^403"):
            user.raw("GET", one)
    with pytest.raises(RemoteError, match="GET alone"):
        user.put(url, b"other")
    assert user.fetch(url) == b"text"


def revoked(place: Installation, remote: Remote) -> None:
    """Have the token refused that a project's user has: it is taken for one that was given away."""
    assert place.ask("GET", f"/v1/me?token={remote.token}", token="").status == 401


def test_addresses_end_with_the_token_that_they_were_made_with(place: Installation) -> None:
    gone, other = project(place, "gone"), project(place, "stays")
    for one in (gone, other):
        one.upload({"/kept": b"text"})
    urls = [one.get("storage", "download_file", path="/kept")["s3_url"] for one in (gone, other)]
    put = gone.post("storage", "start_file_upload_session", paths=["/more"])["files"][0]["s3_url"]
    assert gone.fetch(urls[0]) == b"text"
    revoked(place, gone)
    for method, url in (("GET", urls[0]), ("PUT", put)):
        with pytest.raises(RemoteError, match=r"^401 .*revoked"):
            gone.raw(method, urlsplit(url).path, b"content" if method == "PUT" else None)
    assert other.fetch(urls[1]) == b"text", "those of others stay"


def test_addresses_end_with_the_user_who_made_them(place: Installation, mine: Remote) -> None:
    made = replace(mine, token="").post(
        "credential", "create_user", project_id="mine", admin_token=mine.token, user_name="leaver"
    )
    leaver = replace(mine, token=made["user_token"])
    leaver.upload({"/leaver": b"text"})
    url = leaver.get("storage", "download_file", path="/leaver")["s3_url"]
    put = leaver.post("storage", "start_file_upload_session", paths=["/more"])["files"][0]["s3_url"]
    assert place.ask("POST", "/v1/users/mine-leaver/disable").status in (200, 204)
    for method, one in (("GET", url), ("PUT", put)):
        with pytest.raises(RemoteError, match=r"^401 .*disabled"):
            leaver.raw(method, urlsplit(one).path, b"content" if method == "PUT" else None)
    assert mine.fetch(mine.get("storage", "download_file", path="/leaver")["s3_url"]) == b"text"


def test_an_address_ends() -> None:
    with installation(settings={"DAIS_ACAI_LINK_SECONDS": "10"}) as running:
        remote = project(running, "short")
        remote.upload({"/a": b"a"})
        url = remote.get("storage", "download_file", path="/a")["s3_url"]
        assert remote.fetch(url) == b"a"

        def refused() -> bool:
            try:
                remote.fetch(url)
            except RemoteError as error:
                return "expired" in error.text
            return False

        until(refused, "the address has expired")


def test_tokens_of_other_kinds_in_an_address_are_refused_and_revoked(place: Installation, user: Remote) -> None:
    key = place.client().keys.new()
    with pytest.raises(RemoteError, match=r"^401"):
        replace(user, token=key.secret).get("storage", "list_file_sets")
    assert place.ask("GET", "/v1/me", token=key.secret).status == 401
    with pytest.raises(RemoteError, match="no token of a project"):
        replace(user, token=place.token).post("meta", "get_meta", type="file", ids=["a"])
    assert user.get("credential", "resolve_project_id")["project_id"] == "mine", "its own are what they are for"


def test_no_token_is_written_down(place: Installation, user: Remote, mine: Remote) -> None:
    with pytest.raises(RemoteError):
        user.get("storage", "no_such_call")
    log = place.log() + place.said()
    assert user.token not in log
    assert mine.token not in log
    assert "token=" not in log


def test_what_is_not_answered_says_so(user: Remote) -> None:
    with pytest.raises(RemoteError, match=r"^404 .*not answered"):
        user.post("automl", "submit_model")
    with pytest.raises(RemoteError, match=r"^405"):
        user.post("storage", "list_directory", directory_path="/")
