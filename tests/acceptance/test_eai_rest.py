"""The REST paths of the Element AI Toolkit, as its clients ask for them."""

from __future__ import annotations

import json

from tests.support.installation import Answer, Installation

SPEC = {
    "image": "host",
    "command": ["bash", "-c", "echo $EAI_JOB_ID; sleep ${NAP}"],
    "environmentVars": ["NAP=0"],
    "resources": {"cpu": 0.1, "mem": 0.0625},
    "tags": ["project=x", "plain"],
    "preemptable": True,
    "interactive": False,
    "maxRunTime": 172800,
    "tunnel": True,
}


def ask(place: Installation, method: str, path: str, body: object = None, **headers: str) -> Answer:
    return place.ask(method, path, body, headers=headers)


def test_from_a_submit_to_the_end(shared: Installation) -> None:
    me = ask(shared, "GET", "/v1/me").json
    assert "mail" in me
    account = me["account"]
    made = ask(shared, "POST", f"/v1/account/{account}/job?human=1", SPEC | {"name": "my_job"})
    assert made.status == 201, made.body
    job = made.json
    assert job["state"] == "QUEUING"
    assert job["alive"] is True
    assert job["tags"] == [{"key": "plain", "value": ""}, {"key": "project", "value": "x"}] or len(job["tags"]) == 2
    assert (job["maxRunTime"], job["preemptable"], job["environmentVars"]) == (172800, True, ["NAP=0"])
    shared.wait(job["id"])
    ended = ask(shared, "GET", f"/v1/job/{job['id']}").json
    assert (ended["state"], ended["alive"]) == ("SUCCEEDED", False)
    (run,) = ended["runs"]
    assert (run["jobId"], run["exitCode"], run["state"]) == (job["id"], 0, "SUCCEEDED")
    assert {"id", "createdOn", "queuedOn", "startedOn", "endedOn", "cancelledOn", "info", "ip", "nodeName"} <= set(run)
    assert job["created"] == ended["created"]
    again = ask(shared, "POST", f"/v1/account/{account}/job", SPEC | {"name": "my_job"})
    assert again.status == 201, "the name of a job that has ended is free"


def test_lists_and_their_conditions(shared: Installation) -> None:
    account = ask(shared, "GET", "/v1/me").json["account"]
    slow = SPEC | {"environmentVars": ["NAP=600"]}
    first, second = (ask(shared, "POST", f"/v1/account/{account}/job", slow).json["id"] for _ in range(2))
    listed = ask(shared, "GET", f"/v1/account/{account}/job?limit=1000&order=-created&q=alive_recently=True").json
    ids = [job["id"] for job in listed["items"]]
    assert ids.index(second) < ids.index(first)
    nobody = "0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10"
    batch = ask(shared, "GET", f"/v1/cluster/job?q=id__in={first},{nobody},{second}").json["items"]
    assert [job["id"] for job in batch] == [first, second]
    assert {first, second} <= {job["id"] for job in ask(shared, "GET", "/v1/me/job").json["items"]}
    killed = ask(shared, "DELETE", f"/v1/job/{first}").json
    assert killed["state"] in ("CANCELLING", "CANCELLED")
    shared.wait(first)
    alive = ask(shared, "GET", "/v1/me/job?q=alive=True").json["items"]
    assert first not in [job["id"] for job in alive]
    cancelled = ask(shared, "GET", "/v1/me/job?q=state__in=CANCELLED,FAILED").json["items"]
    assert [job["id"] for job in cancelled] == [first]
    ask(shared, "DELETE", f"/v1/job/{second}")


def test_a_submit_that_is_sent_again_makes_one_job(shared: Installation) -> None:
    account = ask(shared, "GET", "/v1/me").json["account"]
    key = {"Idempotency-Key": "once"}
    first, second = (ask(shared, "POST", f"/v1/account/{account}/job", SPEC, **key) for _ in range(2))
    assert first.json["id"] == second.json["id"]
    other = ask(shared, "POST", f"/v1/account/{account}/job", SPEC | {"bid": 9999}, **key)
    assert other.status == 409


def test_what_is_wrong_is_told_in_their_shape(shared: Installation) -> None:
    account = ask(shared, "GET", "/v1/me").json["account"]
    place = f"/v1/account/{account}/job"
    missing = ask(shared, "GET", "/v1/job/0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10")
    assert (missing.status, missing.json["status"]) == (404, 404)
    assert "http: 404" in missing.json["error"]
    slow = SPEC | {"environmentVars": ["NAP=600"], "name": "twice"}
    first = ask(shared, "POST", place, slow)
    taken = ask(shared, "POST", place, slow)
    assert taken.status == 409
    assert "resource with this name already exists" in taken.json["message"]
    ask(shared, "DELETE", f"/v1/job/{first.json['id']}")
    unbuilt: list[dict[str, object]] = [
        {"replicas": 2},
        {"options": {"internal-dns": {"name": "head"}}},
        {"resources": {"gpuModel": "!A100"}},
        {"role": "org.alice.reader"},
    ]
    for more in unbuilt:
        refused = ask(shared, "POST", place, SPEC | more)
        assert (refused.status, refused.json["code"]) == (400, "not-built-yet"), more
    assert ask(shared, "POST", place, SPEC | {"comand": []}).json["code"] == "unknown-field"
    assert ask(shared, "POST", place, b"[").status == 400
    for query in ("q=id=1", "q=nonsense", "order=name", "limit=0", "q=state=DREAMING"):
        assert ask(shared, "GET", f"/v1/me/job?{query}").status == 400, query
    assert shared.ask("GET", "/v1/me/job", token="").status == 401
    assert ask(shared, "PUT", "/v1/job/x").status == 405
    assert json.loads(ask(shared, "GET", "/v1/account/nobody/job").body)["status"] == 404


def test_the_token_is_told_to_who_has_it(shared: Installation) -> None:
    answer = ask(shared, "GET", "/v1/token")
    assert answer.body.decode() == shared.token
    assert answer.headers["content-type"] == "text/plain"
