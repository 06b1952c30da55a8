"""Jobs in the words of the Element AI Toolkit: states, their selection, documents that are read back."""

from __future__ import annotations

import msgspec
import pytest

from dais.wire import eai
from dais.wire.answers import Job, Run
from dais.wire.read import read_spec

JOB = Job(
    id="01a21c26-5241-752e-a9d4-5310e3e80543",
    number=7,
    name="train",
    urn="o:account:a:job:j",
    type="interactive",
    account="acme.joe",
    account_id="a",
    owner="joe",
    state="RUNNING",
    alive=True,
    created_at="2026-11-22T09:30:00.123456Z",
    command=["bash", "-c", "true"],
    image="host",
    tags={"k": "v", "plain": ""},
    cpu=2.0,
    mem=3 << 29,
    gpu=0,
    run_index=0,
    runs=[Run(id="r", index=0, state="RUNNING", created_at="2026-11-22T09:30:00.5Z", node="n1")],
)


@pytest.mark.parametrize(
    "state, reason, cancelled, shown",
    [
        ("PENDING", None, False, "QUEUING"),
        ("SCHEDULED", None, False, "QUEUED"),
        ("PREPARING", None, False, "QUEUED"),
        ("FINISHING", None, False, "RUNNING"),
        ("RUNNING", None, True, "CANCELLING"),
        ("FAILED", "exit-code", False, "FAILED"),
        ("FAILED", "preempted", False, "INTERRUPTED"),
        ("FAILED", "node-lost", False, "INTERRUPTED"),
        ("CANCELLED", "user-request", True, "CANCELLED"),
    ],
)
def test_states(state: str, reason: str | None, cancelled: bool, shown: str) -> None:
    alive = state not in ("FAILED", "CANCELLED")
    job = msgspec.structs.replace(JOB, state=state, reason=reason, alive=alive, cancel_requested=cancelled)
    assert eai.state_of(job) == shown


def test_a_job_is_shown_with_their_names_and_units() -> None:
    told = msgspec.to_builtins(eai.shown_job(JOB, "http://x/"))
    assert (told["fullName"], told["accessUrl"], told["interactive"]) == ("acme.joe.train", "http://x/", True)
    assert told["resources"] == {"cpu": 2.0, "mem": 1.5, "gpu": 0}
    assert told["created"] == told["createdOn"] == "2026-11-22T09:30:00Z"
    assert told["tags"] == [{"key": "k", "value": "v"}, {"key": "plain", "value": ""}]
    assert told["preemptable"] is None, "lists do not know it"
    (run,) = told["runs"]
    assert (run["jobId"], run["nodeName"], run["queuedOn"]) == (JOB.id, "n1", "2026-11-22T09:30:00Z")


def test_selected_states_are_asked_for_and_sorted_out() -> None:
    assert eai.select_states(["queued", "RUNNING"]) == (
        ["SCHEDULED", "PREPARING", "RUNNING", "FINISHING"], {"QUEUED", "RUNNING"}
    )  # fmt: skip
    assert eai.select_states(["interrupted"]) == (["FAILED"], {"INTERRUPTED"})
    assert eai.select_states(["alive"]) == (["alive"], None)
    assert eai.select_states(["FAILED", "all"]) == (["FAILED", "all"], None)
    with pytest.raises(ValueError, match="'DREAMING' is not a state; there are QUEUING"):
        eai.select_states(["DREAMING"])


def test_a_document_is_read_back_as_the_same_specification() -> None:
    written = {
        "image": "host",
        "name": "train",
        "command": ["bash", "-c", "echo $A"],
        "environmentVars": ["A=B=C", "EMPTY="],
        "data": ["acme.joe.home:/mnt/home", "acme.joe.code:/app:ro"],
        "tags": ["k=v", "plain"],
        "interactive": True,
        "bid": 9,
        "maxRunTime": 3600,
        "resources": {"cpu": 4, "mem": 16},
        "workdir": "/mnt/home",
    }
    spec = read_spec(written)
    document = eai.job_document(spec)
    assert read_spec(document) == spec
    for field in ("environmentVars", "maxRunTime", "interactive", "tags"):
        assert document[field] == written[field], field
