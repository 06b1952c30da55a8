"""A job runs again exactly as it was, whatever has happened since to what it was made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.installation import Installation

TRAIN = """
import json, os, pathlib
from settings import FACTOR
words = sorted(path.read_text() for path in pathlib.Path("corpus").rglob("*"))
out = pathlib.Path("model")
out.mkdir()
(out / "weights").write_text(str(FACTOR) + "".join(words))
with open(os.environ["DAIS_REPORT"], "a") as file:
    print(json.dumps({"accuracy": FACTOR / 10, "model": "cnn"}), file=file)
print("trained")
"""


@pytest.mark.parametrize("isolation", ["auto", "process"])
def test_the_source_is_gone_and_the_latest_inputs_are_others(tmp_path: Path, isolation: str) -> None:
    own = Installation(tmp_path / "here", settings={"DAIS_LOCAL_ISOLATION": isolation})
    own.start()
    try:
        source = tmp_path / "source"
        source.mkdir()
        (source / "train.py").write_text(TRAIN)
        (source / "settings.py").write_text("FACTOR = 5\n")
        corpus = tmp_path / "text"
        corpus.write_text("one")
        client = own.client()
        client.files.upload([(corpus, "/corpus/a.txt")])
        client.filesets.create("corpus", ["/corpus/"])
        digest = client.sources.capture(source)
        job = own.run("python3", "train.py", source=digest, inputs=["corpus"], output="model", name="train")
        assert job.state == "SUCCEEDED", own.output(job.id)
        made = job.outputs[0].fileset

        shutil.rmtree(source)
        corpus.write_text("another")
        client.files.upload([(corpus, "/corpus/a.txt")])
        client.filesets.create("corpus", ["/corpus/"])

        ran = own.dais("reproduce", job.id, "--wait", "--json")
        assert ran.returncode == 0, ran.stderr
        found = json.loads(ran.stdout)
        assert (found["verdict"], found["same_files"], found["different_files"]) == ("equal", 1, 0)
        assert [(one["name"], one["within"]) for one in found["metrics"]] == [("accuracy", True)]
        again = client.jobs.get(found["job_id"])
        before, after = (list(client.filesets.files(one)) for one in (made, again.outputs[0].fileset))
        assert [file.digest for file in before] == [file.digest for file in after]

        # The lineage of both: the same version of the corpus, each by its own job.
        trace = client.lineage.backward(again.outputs[0].fileset)
        assert "corpus:1" in {node.name for node in trace.nodes}
        assert "corpus:2" not in {node.name for node in trace.nodes}
        (node,) = (node for node in trace.nodes if node.kind == "job")
        assert (node.job_id, node.facts["source"]) == (again.id, digest)

        # What a run reports is found by it, also at what it made.
        best = own.dais("find", "fileset", "model=cnn", "max(accuracy)", "--json")
        assert best.returncode == 0, best.stderr
        assert {made, again.outputs[0].fileset} == {one["ref"] for one in json.loads(best.stdout)}
        assert own.dais("reproduce", again.id, "--result").returncode == 0
        assert own.dais("doctor", "data").returncode == 0
    finally:
        own.close()
